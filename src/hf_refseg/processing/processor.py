"""The processor of every system: pictures and expressions in, model inputs out; model outputs in, masks out."""

import os
import textwrap
import typing
from collections.abc import Mapping

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import BatchFeature, ProcessorMixin, TokenizersBackend
from transformers.processing_utils import ProcessingKwargs, Unpack

from ..layers.image_index import resolve_image_index
from ..saving import Code, SavesItsCode
from .answer_checks import check_finite, check_threshold, image_sizes
from .image_processing import CanvasImageProcessor
from .images import image_list
from .masks import check_mask_sizes, mask_box, read_masks
from .pairing import pair, quoted
from .refinement import REFINEMENTS, dense_crf_parameters, sharpen
from .resizing import check_interpolation
from .tokenization import build_tokenizer, split_words, tokenizer_from_vocabulary_file

# Options of the tokenizer that a call passes on.
TEXT_OPTIONS = (
    *("max_length", "truncation", "padding", "padding_side", "pad_to_multiple_of", "add_special_tokens", "verbose"),
    *("return_tensors", "return_attention_mask", "return_token_type_ids", "return_special_tokens_mask"),
    *("return_offsets_mapping", "return_length"),
)


class ReferringSegmentationProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": True, "truncation": True, "add_special_tokens": False}}


class ReferringSegmentationProcessor(SavesItsCode, ProcessorMixin):
    """An image processor and a tokenizer under one call, and the way back from logits to masks.

    Args:
        image_processor: of the class `default_image_processor`, with any settings; None: with its published ones.
        tokenizer: a tokenizer made by `hf_refseg.processing.tokenization`.
        dense_crf: parameters of `refine="dense_crf"`, see `DenseCrfParameters`; what is not given is as in RMI's rows
            "+DCRF". Saved with the processor; can be changed later: `processor.dense_crf["iterations"] = 10`.

    Raises TypeError for an image processor of another class, ValueError for an unknown parameter of the dense CRF.
    """

    valid_processor_kwargs = ReferringSegmentationProcessorKwargs
    default_image_processor = CanvasImageProcessor
    target_names = ("segmentation_maps",)  # arguments of a call that become labels
    padding_side = "left"  # where the system's tokenizers pad

    def __init__(self, image_processor=None, tokenizer=None, dense_crf: dict | None = None):
        image_processor = self.default_image_processor() if image_processor is None else image_processor
        # by name: in a model folder that brings its own code, every file that is loaded has its own copy of a class
        wanted, given = self.default_image_processor.__name__, type(image_processor)
        if wanted not in (ancestor.__name__ for ancestor in given.__mro__):
            raise TypeError(  # saved under another name, AutoProcessor would not find it again
                f"{type(self).__name__} needs a {wanted} (of any size and mean), not a {given.__name__}"
            )
        super().__init__(image_processor, tokenizer)
        self.dense_crf = dense_crf_parameters(dense_crf or {})

    def images_by(self) -> SavesItsCode:
        return self.image_processor

    def has_code(self) -> bool:
        return self.image_processor.has_code()

    def name_code(self, code: Code) -> None:
        self.auto_map = dict(code.auto_map)
        self.image_processor.name_code(code)

    @classmethod
    def tokenizer_from_vocabulary(cls, vocabulary: list[str], **options) -> TokenizersBackend:
        """The system's tokenizer, with its rule of splitting and its padding side, for an original vocabulary.

        Args:
            vocabulary: one word per id.
            options: of the tokenizer, such as `max_length`.

        Raises ValueError for a vocabulary that is not of this system.
        """
        return build_tokenizer(vocabulary, **{"padding_side": cls.padding_side, **options})

    @classmethod
    def from_vocabulary_file(
        cls, path: str | os.PathLike, image_processor=None, **options
    ) -> "ReferringSegmentationProcessor":
        """A processor for an original vocabulary file, one word per line; `options` go to `tokenizer_from_vocabulary`.

        Raises FileNotFoundError, and ValueError naming the file.
        """
        tokenizer = tokenizer_from_vocabulary_file(path, cls.tokenizer_from_vocabulary, **options)
        return cls(image_processor, tokenizer)

    def row_inputs(self, row: dict) -> dict:
        """What a call takes of one row of a data set. A system that reads more of a row than this one overrides it.

        Args:
            row: of the schema (`hf_refseg.data.schema`), its `mask` an array (H, W) or what numpy makes one of.

        Returns: `images`, the one image; every other value is a list with one entry per sentence: `text`, and
            `segmentation_maps`, the same object each time, so that it is read and resized once.
        """
        text = [sentence["sent"] for sentence in row["sentences"]]
        return {"images": row["image"], "text": text, "segmentation_maps": [row["mask"]] * len(text)}

    @property
    def model_input_names(self) -> list[str]:
        """What a call always returns: the names of image processor and tokenizer, and `image_index`."""
        return [*super().model_input_names, "image_index"]

    def __call__(
        self,
        images=None,
        text: str | list[str] | list[list[str]] | None = None,
        segmentation_maps=None,
        allow_unknown: bool | None = None,
        **kwargs: Unpack[ReferringSegmentationProcessorKwargs],
    ) -> BatchFeature:
        """Makes the model inputs of N expressions on B images.

        Args:
            images: one image or a list of B, each anything that `load_image` reads. None: text only.
            text: one expression or many: N for one image, N for N images, or one list of expressions per image. A
                single string with several images is asked of each. None: images only.
            segmentation_maps: one mask or a list of N, one per expression, each (H, W) at the size of its image, of
                bool or of 0 and one other value. A mask object that is given several times is resized once. None: no
                labels.
            allow_unknown: accept an expression of which no word is known, instead of raising; each word becomes
                <unk>. Data sets need it: the originals train on and score such sentences too.
            kwargs: options of the tokenizer and the image processor, and `return_tensors` (default `"pt"`). Words
                beyond `max_length` (default: the tokenizer's `model_max_length`) are not read, see `unread_words`.

        Returns a `BatchFeature` of
            `pixel_values (B, 3, H, W)` float32; `original_sizes (B, 2)` int64, (height, width) in pixels;
            `pixel_mask (B, H, W)` int64, only where the images of the batch differ in size after processing;
            `input_ids (N, T)` int64 padded to the longest expression, `attention_mask (N, T)`;
            `image_index (N,)` int64, the image of each expression, where the call says it: not for a plain list of
            expressions without images, which may belong to one image or to N;
            `labels (N, H, W)` float32 in {0, 1}, with masks.

        Raises ValueError where the numbers of images, expressions and masks do not fit, for an expression without
            words or with no word in the vocabulary, and for a mask that is not of the size of its image; TypeError for
            an option that does not exist, or of another type.
        """
        if images is None and text is None:
            raise ValueError("neither images nor text is given; give at least one of them")
        self._check_names(kwargs)
        try:
            options = self._merge_kwargs(tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs)
        except StrictDataclassError as error:  # a class of its own, though it tells of values of another type
            raise TypeError(str(error)) from error
        check_length(options["text_kwargs"].get("max_length"))
        return_tensors = kwargs.get("return_tensors") or "pt"
        images = None if images is None else image_list(images)
        data = {}
        expressions, image_index = ([], None) if text is None else pair(text, None if images is None else len(images))
        masks, mask_index = (None, []) if segmentation_maps is None else read_masks(segmentation_maps)
        if masks is not None and (images is None or len(mask_index) != len(expressions)):
            raise ValueError(
                f"{len(mask_index)} segmentation_maps for {len(expressions)} expressions and "
                f"{'no' if images is None else len(images)} images; give images and one mask per expression"
            )
        if text is not None:
            data.update(self._encode_text(expressions, allow_unknown, options["text_kwargs"]))
            if image_index is not None:
                data["image_index"] = image_index
        if images is not None:
            options["images_kwargs"]["return_tensors"] = "pt"
            data.update(self.image_processor(images, masks, **options["images_kwargs"]))
        if masks is not None:
            check_mask_sizes([masks[index] for index in mask_index], data["original_sizes"][image_index].tolist())
            data["labels"] = data["labels"][mask_index]  # (M, H, W) -> (N, H, W)
        return BatchFeature(data, tensor_type=return_tensors)

    def _check_names(self, options: Mapping[str, object]) -> None:
        """Raises TypeError for an option of a call that neither the tokenizer nor the image processor reads."""
        of_images = typing.get_type_hints(self.image_processor.valid_kwargs)
        groups = {"text_kwargs": TEXT_OPTIONS, "images_kwargs": of_images, "common_kwargs": ("return_tensors",)}
        known = {*groups, *(name for names in groups.values() for name in names)}
        unknown = [name for name, value in options.items() if name not in known and value is not None]
        for group, names in groups.items():
            unknown += [f"{group}[{name!r}]" for name in options.get(group, {}) if name not in names]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} does not read {', '.join(unknown)}; beside images, text and segmentation_maps "
                f"its options are {', '.join(sorted(known))}"
            )

    def _encode_text(
        self, expressions: list[str], allow_unknown: bool | None, options: dict
    ) -> dict[str, torch.Tensor]:
        encoded = self.tokenizer(expressions, **{**options, "return_tensors": None, "padding": False})
        for index, (expression, ids) in enumerate(zip(expressions, encoded["input_ids"], strict=True)):
            if not ids:
                raise ValueError(f"expression {index} has no words: {quoted(expression)}; describe what to segment")
            if not allow_unknown:
                self._require_known_word(index, expression, ids)
        return self._pad(encoded, options, options.get("max_length"))

    def _require_known_word(self, index: int, expression: str, ids: list[int]) -> None:
        """Raises ValueError where all ids of an expression are that of the unknown word."""
        if set(ids) == {self.tokenizer.unk_token_id}:
            unknown = ", ".join(self.unknown_words(expression)) or "it has only punctuation"
            raise ValueError(
                f"no word of expression {index}, {quoted(expression)}, is in the vocabulary of "
                f"{len(self.tokenizer)} words ({textwrap.shorten(unknown, 200)}); use other words, or "
                "allow_unknown=True for an answer by the photo alone"
            )

    def _pad(self, encoded: Mapping[str, list], options: Mapping, length: int | None) -> dict[str, torch.Tensor]:
        """The batch of N expressions, in the options of a call: `input_ids` and `attention_mask` (N, T)."""
        padding = options["padding"]
        length = length if padding == "max_length" else None  # the tokenizer warns where it has no use for it
        others = {name: options.get(name) for name in ("padding_side", "pad_to_multiple_of", "return_attention_mask")}
        return dict(self.tokenizer.pad(encoded, padding, length, **others, return_tensors="pt"))

    def draw_mask(
        self, outputs, row: int, size: tuple[int, int], threshold: float, interpolation: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mask (H, W) bool of one expression at its image's size, and its probabilities (H, W)."""
        masks, probabilities = self.image_processor.restore_masks(
            outputs.logits.detach()[row, None], size, threshold, interpolation
        )
        return masks[0], probabilities[0]  # (1, H, W) -> (H, W)

    def unknown_words(self, expression: str) -> list[str]:
        """The words of `expression` that the vocabulary lacks, so that the model cannot take them into account."""
        words = split_words(self.tokenizer, expression)
        ids, unknown = self.tokenizer.convert_tokens_to_ids(words), self.tokenizer.unk_token_id
        return [
            word
            for word, token in zip(words, ids, strict=True)
            if token == unknown and word != self.tokenizer.unk_token and any(c.isalnum() for c in word)
        ]

    def unread_words(self, expression: str, max_length: int | None = None) -> list[str]:
        """The words at the end of `expression` that the model does not see, because it reads only so many.

        Args:
            max_length: as given to the call; None: the tokenizer's `model_max_length`.
        """
        return split_words(self.tokenizer, expression)[max_length or self.tokenizer.model_max_length :]

    def post_process_referring_segmentation(
        self,
        outputs,
        target_sizes: torch.Tensor | list[tuple[int, int]] | None = None,
        threshold: float = 0.5,
        interpolation: str = "clean",
        refine: str | None = None,
        images=None,
    ) -> list[dict]:
        """Turns mask logits into one mask per expression at the size of its image.

        Args:
            outputs: a `ReferringSegmentationOutput` with `logits (N, H, W)` at the network's input size, made with this
                processor's own settings: `do_resize` or `do_pad` given to one call are not known here.
            target_sizes: (B, 2) height and width of each image, usually `inputs["original_sizes"]`. None: the
                `original_sizes` of the outputs; of outputs without them masks stay at the network's input size,
                padding included.
            threshold: the probability above which a pixel is foreground.
            interpolation: `"clean"` or `"paper"`, see `Placement.restore`. The papers' masks are slightly larger, for
                they count every pixel that the resized mask touches.
            refine: `"dense_crf"` sharpens the edges by the colors of the image (`hf_refseg.dense_crf`), with the
                parameters of `dense_crf`, at the network's input size, as RMI's rows "+DCRF" did (see
                `Placement.refined_part` for the padding). The expressions of one image share its lattice.
            images: the B images, for `refine` only; anything that `load_image` reads.

        Returns: N dicts of `mask (H, W)` bool; `score` float, the model's own score where it has one, else the mean
            probability inside of the mask (0 for an empty mask), the network's even where a CRF drew the mask, since
            a CRF is certain of everything; `box` [x0, y0, x1, y1] floats in pixels, x1 and y1 exclusive, the model's
            own where it has one, else that of the mask, None for an empty one; `image_index` int.

        Raises TypeError for `outputs` of no model, ValueError for an unknown `refine` or `interpolation`, for a
            `threshold` that is not a probability, for `target_sizes` that are none, where `target_sizes` or `images` do
            not fit the `outputs` or each other, and where numbers of the outputs are not finite.
        """
        sizes = image_sizes(outputs, target_sizes)
        check_interpolation(interpolation)
        check_threshold(threshold)
        if interpolation == "paper" and sizes is None:
            raise ValueError("interpolation='paper' is a way back to the image's size; it needs target_sizes")
        if refine is not None and refine not in REFINEMENTS:
            raise ValueError(f"unknown refine {refine!r}; use one of {', '.join(map(repr, (None, *REFINEMENTS)))}")
        if outputs.logits is None:
            raise ValueError("the outputs have no mask logits; post-processing needs a model that segments")
        check_finite(outputs)
        logits = outputs.logits.detach()
        scores, boxes = outputs.scores, outputs.pred_boxes
        images = None if refine is None or images is None else image_list(images)
        num_images = len(next(many for many in (sizes, images, logits) if many is not None))
        image_index = outputs.image_index
        if image_index is None:
            image_index = resolve_image_index(None, num_images, len(logits), logits.device)
        image_index = image_index.tolist()
        if sizes is not None and max(image_index) >= num_images:
            raise ValueError(
                f"target_sizes has {num_images} rows, but an expression refers to image {max(image_index)}; give one "
                "(height, width) per image"
            )
        refined = logits
        if refine is not None:
            refined = sharpen(logits, image_index, images, sizes, self.image_processor, interpolation, self.dense_crf)
        results = []
        for row, image in enumerate(image_index):
            if sizes is None:
                probability = logits[row].float().sigmoid()  # (H, W)
                mask = refined[row].float().sigmoid() > threshold
            else:
                mask, probability = self.draw_mask(outputs, row, sizes[image], threshold, interpolation)
                if refine is not None:
                    restore = self.image_processor.restore_masks
                    mask = restore(refined[row, None], sizes[image], threshold, interpolation)[0][0]
            if scores is not None:
                score = float(scores[row])
            else:
                score = float((probability * mask).sum() / mask.sum().clamp(min=1))
            box = mask_box(mask) if boxes is None or sizes is None else boxes[row].tolist()
            results.append({"mask": mask, "score": score, "box": box, "image_index": image})
        return results


def check_length(max_length: int | None) -> None:
    """Raises ValueError for what is no number of words."""
    if max_length is not None and (type(max_length) is not int or max_length < 1):
        raise ValueError(f"max_length is {max_length!r}; give a number of words, 1 or more")
