"""Processor of HULANet (Wu et al., CVPR 2020)."""

import os
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from transformers import BatchFeature, TokenizersBackend
from transformers.processing_utils import ProcessingKwargs
from transformers.utils import logging

from ...processing.images import image_list
from ...processing.mask_pasting import paste_masks
from ...processing.masks import mask_box
from ...processing.pairing import pair
from ...processing.processor import ReferringSegmentationProcessor
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from .phrase_parser import parse
from .phrase_structure import PhraseStructure, PhraseVocabulary, WordRole, split_phrase
from .tokenization_hulanet import build_phrase_tokenizer

logger = logging.get_logger(__name__)

NAMES = ("categories", "attributes", "predicates")
LARGEST_OVERLAP = 0.5  # IoU of masks above which two detections are the same thing


class HulaNetProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": True, "truncation": True, "add_special_tokens": True}}


class HulaNetProcessor(ReferringSegmentationProcessor):
    """The detector's images; phrases, and what each of their words says.

    Args:
        image_processor, tokenizer, dense_crf: see [`ReferringSegmentationProcessor`]; `build_phrase_tokenizer` makes
            the tokenizer.
        names: lists of the known "categories" (the detector's, in its order), "attributes" and "predicates", by which
            free text is parsed.

    Raises ValueError for lists of other things.
    """

    valid_processor_kwargs = HulaNetProcessorKwargs
    default_image_processor = MaskRcnnImageProcessor
    padding_side = "right"
    skip_tensor_conversion = [*ReferringSegmentationProcessor.skip_tensor_conversion, "phrase_structure"]

    def __init__(
        self,
        image_processor=None,
        tokenizer=None,
        dense_crf: dict | None = None,
        names: Mapping[str, Sequence[str]] | None = None,
    ):
        super().__init__(image_processor, tokenizer, dense_crf)
        self.names = {**{name: [] for name in NAMES}, **(names or {})}
        if set(self.names) != set(NAMES):
            raise ValueError(f"names has {sorted(self.names)}; what is known of phrases is their {', '.join(NAMES)}")
        self.vocabulary = PhraseVocabulary(**self.names)

    @classmethod
    def tokenizer_from_vocabulary(cls, vocabulary: list[str], **options) -> TokenizersBackend:
        return build_phrase_tokenizer(vocabulary, **options)

    def row_inputs(self, row: dict) -> dict:
        """Also the row's `phrase_structure`, once per sentence; None for a row without it, which is parsed."""
        inputs = super().row_inputs(row)
        return {**inputs, "phrase_structure": [row.get("phrase_structure")] * len(inputs["text"])}

    @property
    def model_input_names(self) -> list[str]:
        return [*super().model_input_names, "word_roles", "word_categories", "phrase_structure"]

    def __call__(
        self,
        images=None,
        text: str | list[str] | list[list[str]] | None = None,
        segmentation_maps=None,
        allow_unknown: bool | None = None,
        phrase_structure: Sequence[Mapping | None] | None = None,
        **kwargs,
    ) -> BatchFeature:
        """Makes the model inputs of N phrases on B images. A lone text that is no file is a phrase without an image.

        Args:
            images, text, segmentation_maps, allow_unknown, kwargs: see [`ReferringSegmentationProcessor`].
            phrase_structure: what each of the N phrases says, as rows have it, in place of the parser; a phrase whose
                entry is None is parsed. The words that are read are those that PhraseCut makes of the structure.

        Returns what [`ReferringSegmentationProcessor`] returns, and
            `word_roles (N, T)` int64, what each word says, see [`WordRole`];
            `word_categories (N, T)` int64, the known category that the words of a name name, -1 at all other words;
            `phrase_structure`, N dicts of what was understood: `name`, `attributes`, `relation_descriptions`, and
            `unread`, the words behind the last one that the model reads.

        Raises ValueError as that does, and for more or fewer structures than phrases.
        """
        if text is None and isinstance(images, str) and not os.path.exists(images):
            images, text = None, images
        if text is None:
            return super().__call__(images, text, segmentation_maps, allow_unknown, **kwargs)
        if isinstance(text, str) and images is not None:
            text = [text] * len(image_list(images))  # one phrase is asked of every image
        phrases = self.read_phrases(pair(text, None)[0], phrase_structure)
        said = iter(" ".join(words) for words, _, _ in phrases)
        rows = [text] if isinstance(text, str) else text
        text = [[next(said) for _ in row] if isinstance(row, (list, tuple)) else next(said) for row in rows]
        data = super().__call__(images, text, segmentation_maps, allow_unknown, **kwargs)
        return_tensors, length = kwargs.get("return_tensors") or "pt", data["input_ids"].shape[1]
        roles = torch.zeros(len(phrases), length, dtype=torch.long)
        categories = torch.full((len(phrases), length), -1)
        understood = []
        for row, (words, structure, word_roles) in enumerate(phrases):
            framed = [WordRole.BEGIN, *word_roles, WordRole.END][:length]
            if WordRole.NAME <= framed[-1] and framed[-1] % 2 == 0:
                framed[-1] += 1  # what is cut off ends at the last word that is read
            roles[row, : len(framed)] = torch.tensor(framed)
            known = [-1, *self._known_categories(word_roles, structure), -1][:length]
            categories[row, : len(known)] = torch.tensor(known)
            unread = words[length - 1 :]
            if unread:
                phrase = " ".join(words)
                logger.warning_once(f"{phrase!r} is read up to {length - 1} words only; unread: {' '.join(unread)}")
            understood.append({**structure.to_dict(), "unread": unread})
        data.update(BatchFeature({"word_roles": roles, "word_categories": categories}, tensor_type=return_tensors))
        data["phrase_structure"] = understood
        return data

    def read_phrases(
        self, texts: Sequence[str], structures: Sequence[Mapping | None] | None = None
    ) -> list[tuple[list[str], PhraseStructure, list[WordRole]]]:
        """Words, structure and roles of each phrase; `structures` as of a call.

        Raises ValueError for a phrase without words, and for more or fewer structures than phrases.
        """
        structures = [None] * len(texts) if structures is None else list(structures)
        if len(structures) != len(texts):
            raise ValueError(f"{len(structures)} phrase_structure for {len(texts)} phrases; give as many, or None")
        phrases = []
        for index, (text, given) in enumerate(zip(texts, structures, strict=True)):
            if given is not None:
                structure = PhraseStructure.from_row(given)
                words, roles = structure.assemble()
            else:
                words = split_phrase(text)
                if not words:
                    raise ValueError(f"expression {index} has no words: {text!r}; describe what to segment")
                structure, roles = parse(words, self.vocabulary)
            phrases.append((words, structure, roles))
        return phrases

    def unread_words(self, expression: str, max_length: int | None = None) -> list[str]:
        """Of the words that PhraseCut makes of the phrase, behind <BOS>."""
        words, _, _ = self.read_phrases([expression])[0]
        return words[(max_length or self.tokenizer.model_max_length) - 1 :]

    def _known_categories(self, roles: Sequence[WordRole], structure: PhraseStructure) -> list[int]:
        """The category of every word of a name or an object, -1 of one that no list knows and of other words."""
        objects = iter([name for _, name in structure.relations])
        current, categories = next(objects, ""), []
        for role in roles:
            is_object = role in (WordRole.OBJECT, WordRole.LAST_OF_OBJECT)
            named = current if is_object else structure.name if role in (WordRole.NAME, WordRole.LAST_OF_NAME) else ""
            categories.append(self.vocabulary.category_index.get(named, -1))
            if role == WordRole.LAST_OF_OBJECT:
                current = next(objects, "")
        return categories

    def _encode_text(
        self, expressions: list[str], allow_unknown: bool | None, options: dict
    ) -> dict[str, torch.Tensor]:
        """Ids framed by <BOS> and <EOS>, and only then cut off, as in the original: a long phrase has no <EOS>."""
        tokenizer = self.tokenizer
        longest = (options.get("max_length") or tokenizer.model_max_length) if options["truncation"] else None
        if longest == 1:
            raise ValueError("max_length is 1, and the first word says where a phrase begins; give 2 or more")
        words_only = {"add_special_tokens": False, "truncation": False, "padding": False, "verbose": False}
        ids = tokenizer(expressions, **words_only)["input_ids"]
        for index, (expression, words) in enumerate(zip(expressions, ids, strict=True)):
            if not allow_unknown:
                self._require_known_word(index, expression, words)
        framed = [[tokenizer.bos_token_id, *words, tokenizer.eos_token_id][:longest] for words in ids]
        return self._pad({"input_ids": framed}, options, longest)

    def post_process_referring_segmentation(
        self,
        outputs,
        target_sizes: torch.Tensor | list[tuple[int, int]] | None = None,
        threshold: float = 0.5,
        interpolation: str = "clean",
        refine: str | None = None,
        images=None,
    ) -> list[dict]:
        """As [`ReferringSegmentationProcessor`] does, and the things that a phrase means one by one.

        Returns what that returns and, where the outputs have detections, in each dict `instances`, the surest first:
            dicts of `mask (H, W)` bool, `box` and `score`, of every detection inside of which the mean probability is
            above `threshold`, but for those that overlap a better one by more than half (IoU of masks).
        """
        results = super().post_process_referring_segmentation(
            outputs, target_sizes, threshold, interpolation, refine, images
        )
        if outputs.detection_counts is None:
            return results
        starts = [0, *accumulate(outputs.detection_counts)]
        for result, scores in zip(results, outputs.region_scores, strict=True):
            image, size = result["image_index"], tuple(outputs.original_sizes[result["image_index"]].tolist())
            chosen = (scores > threshold).nonzero()[:, 0]
            chosen = chosen[scores[chosen].argsort(descending=True, stable=True)]
            if outputs.given_detection_masks is not None:
                masks = outputs.given_detection_masks[image][chosen]
            else:
                rows = starts[image] + chosen
                small, boxes = outputs.detection_masks[rows].detach(), outputs.detection_boxes[rows]
                masks = paste_masks(small, boxes, size, interpolation=interpolation)
            result["instances"] = [
                {"mask": masks[row], "box": mask_box(masks[row]), "score": scores[chosen[row]].item()}
                for row in distinct(masks)
            ]
        return results


def distinct(masks: torch.Tensor) -> list[int]:
    """Of masks (R, H, W), the best first: the rows of those that are not empty and overlap no better one much."""
    kept = []
    for row, mask in enumerate(masks):
        others = masks[kept]
        overlap = (others & mask).sum((1, 2)) / (others | mask).sum((1, 2)).clamp(min=1)
        if mask.any() and not (overlap > LARGEST_OVERLAP).any():
            kept.append(row)
    return kept


__all__ = ["HulaNetProcessor"]
