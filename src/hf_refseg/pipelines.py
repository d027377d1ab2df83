"""`pipeline("referring-image-segmentation")`: a photo and expressions in, masks out, in one call."""

import os
import reprlib
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Pipeline
from transformers.utils import logging

from .outputs import ReferringSegmentationOutput
from .processing.answer_checks import check_threshold
from .processing.images import load_image
from .processing.pairing import list_of_texts, pair, quoted
from .processing.processor import check_length
from .writing import write_folder

logger = logging.get_logger(__name__)

TASK = "referring-image-segmentation"
LONGEST_LIST = 300  # characters of the words that a warning lists
PARTS = ("tokenizer", "image_processor", "feature_extractor")  # of pipelines that have no processor
PREPROCESSING, POSTPROCESSING = ("max_length", "allow_unknown"), ("threshold", "interpolation", "refine")


class ReferringSegmentationPipeline(Pipeline):
    """Segments what expressions refer to.

    ```python
    segment = pipeline("referring-image-segmentation")       # the checkpoint that ships with the package
    segment("photo.jpg", "the dog on the left")              # {"label", "score", "mask", "box"}
    segment(image, ["the dog", "the red ball"])              # a list of them; the image is encoded once
    segment([image, other], "the dog")                       # one for each image
    segment([image, other], [["the dog"], ["a cat", "a hat"]], batch_size=2)    # a list per image
    segment({"image": image, "text": "the dog"} for ...)     # any iterator: lazily, one by one
    segment(dataset)                                         # with columns image and text: lazily, and with a length
    segment(KeyDataset(dataset, "image"), "the dog")
    ```
    """

    task = TASK
    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False  # None would look for one, and ask for permission to run remote code

    def __init__(self, *args, processor=None, **kwargs):
        """As in transformers; raises TypeError for a processor of another kind, and for a part that is not read."""
        if unread := [name for name in PARTS if kwargs.get(name) is not None]:
            raise TypeError(
                f"{', '.join(unread)} would not be read: give processor, which has an image processor and a tokenizer"
            )
        if not hasattr(processor, "post_process_referring_segmentation"):
            raise TypeError(f"processor is a {type(processor).__name__}; give that of a referring segmentation model")
        super().__init__(*args, processor=processor, **kwargs)

    def _sanitize_parameters(self, **options):
        unknown = set(options) - {*PREPROCESSING, *POSTPROCESSING}
        if unknown:
            raise ValueError(
                f"unknown options {sorted(unknown)}; use {', '.join(POSTPROCESSING + PREPROCESSING)}, beside "
                "batch_size and num_workers"
            )
        if "threshold" in options:
            check_threshold(options["threshold"])
        check_length(options.get("max_length"))
        before, after = (
            {name: options[name] for name in names if name in options} for names in (PREPROCESSING, POSTPROCESSING)
        )
        return before, {}, after

    def __call__(self, inputs, text: str | list[str] | list[list[str]] | None = None, batch_size=None, **options):
        """Segments every expression in its image.

        Args:
            inputs: an image (anything that `load_image` reads); a list of images; a dict with `image` and `text`, or a
                list of such dicts; a data set or any other iterable of images or dicts.
            text: for one image an expression or a list of them; for N images a single expression, which is asked of
                each, N expressions, or one list of expressions per image. With an iterator, whose length is not known,
                a single expression. None where `inputs` are dicts.
            batch_size: images per forward pass (1).
            options: `threshold`, `interpolation`, `refine`, see `post_process_referring_segmentation`; `max_length`,
                the number of words that are read of an expression (the tokenizer's `model_max_length`);
                `allow_unknown`, whether an expression of which no word is known is answered by the photo alone instead
                of refused (False); `num_workers` that prepare images.

        Returns: per expression a dict of `label` str, the expression; `score` float; `mask`, a `PIL.Image` of mode "L"
            at the image's size, 255 on what is meant; `box` [x0, y0, x1, y1] floats in pixels, or None for an empty
            mask. One dict for one image and one string; for a list of inputs a list, nested like the texts; for a data
            set and other iterables an iterator, which segments while it is read.

        Words that the model does not know or does not read are logged as a warning, once per call and expression.

        Raises ValueError where images and texts do not pair up, TypeError for values of another type, and what the
        processor raises.
        """
        size = self._batch_size if batch_size is None else batch_size
        size = 1 if size is None else size
        if type(size) is not int or size < 1:
            raise ValueError(f"batch_size is {size!r}; give the number of images per forward pass, 1 or more")
        workers = options.get("num_workers")
        if workers is not None and (type(workers) is not int or workers < 0):
            raise ValueError(f"num_workers is {workers!r}; give the number of processes that prepare images, 0 or more")
        if isinstance(inputs, (np.ndarray, torch.Tensor)) and inputs.ndim == 4:
            inputs = list(inputs)
        if is_one_input(inputs):
            item = inputs if text is None else {"image": inputs, "text": text}
            return super().__call__(as_batch([item]), **options)[0]
        items = Inputs(inputs, text)
        if isinstance(inputs, (list, tuple)):
            batches = list(items.batches(size))
            if not batches:
                return []
            # each batch is one input to transformers, whose own batching would mix up whose expression is whose
            return [answer for batch in super().__call__(batches, batch_size=1, **options) for answer in batch]

        def answers() -> Iterator:
            answered = super(ReferringSegmentationPipeline, self).__call__(items.batches(size), batch_size=1, **options)
            return (answer for batch in answered for answer in batch)

        return answers() if items.length is None else Answers(answers, items.length)

    def preprocess(self, batch: dict, max_length: int | None = None, allow_unknown: bool = False) -> dict:
        images = [load_image(image, name) for image, name in zip(batch["images"], batch["names"], strict=True)]
        options = {} if max_length is None else {"max_length": max_length}
        inputs = self.processor(
            images, batch["expressions"], allow_unknown=allow_unknown, return_tensors="pt", **options
        )
        for expression in (expression for row in batch["expressions"] for expression in row):
            if expression not in batch["told"]:
                batch["told"].add(expression)
                self.tell_what_is_lost(expression, max_length)
        return {**batch, "images": images, "inputs": inputs}

    def tell_what_is_lost(self, expression: str, max_length: int | None) -> None:
        """Logs the words of an expression that cannot change its mask."""
        if unknown := self.processor.unknown_words(expression):
            words = textwrap.shorten(", ".join(unknown), LONGEST_LIST)
            logger.warning("%s: the model does not know the words %s", quoted(expression), words)
        if unread := self.processor.unread_words(expression, max_length):
            words = "word was" if len(unread) == 1 else f"{len(unread)} words were"
            logger.warning(
                "%s: the last %s not read: %s; max_length=... lets the model read more words",
                quoted(expression),
                words,
                textwrap.shorten(" ".join(unread), LONGEST_LIST),
            )

    def _forward(self, batch: dict) -> dict:
        return {**batch, "outputs": self.model(**batch["inputs"])}

    def postprocess(self, batch: dict, **options) -> list:
        # on its way to the CPU transformers has made a plain ModelOutput of it, without the fields that are None
        outputs = ReferringSegmentationOutput(**batch["outputs"])
        results = self.processor.post_process_referring_segmentation(
            outputs, batch["inputs"]["original_sizes"], images=batch["images"], **options
        )
        answers, results = [], iter(results)
        for text, expressions in zip(batch["texts"], batch["expressions"], strict=True):
            row = [as_answer(expression, next(results)) for expression in expressions]
            answers.append(row[0] if isinstance(text, str) else row)
        return answers

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> None:
        """Saves model and processor into a folder, from which `pipeline(model=folder)` loads them again.

        Args:
            save_directory: a folder, made where it is not there. Its files appear only once all of them are written.
            push_to_hub: upload them too; `repo_id` (default: the folder's name) and the other arguments of
                `push_to_hub` are among `kwargs`.
            kwargs: of the model's `save_pretrained`, such as `max_shard_size`, unless `push_to_hub`.

        Raises NotADirectoryError where there is a file of this name, OSError where the disk is full.
        """

        def save(folder: Path) -> None:
            self.model.save_pretrained(folder, **({} if push_to_hub else kwargs))
            self.processor.save_pretrained(folder)

        write_folder(save_directory, save)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", Path(save_directory).name), **kwargs)

    def push_to_hub(self, *args, **kwargs) -> str:
        """As in transformers; with the code, so that the repository works without this package."""
        for part in (self.model, self.processor):
            part.take_code_along()
        return super().push_to_hub(*args, **kwargs)


class Inputs:
    """Images and their texts, however they were given, as batches.

    Args:
        inputs: images, or dicts of `image` and `text`; iterated once per call of `batches`.
        text: as of a call of the pipeline, which says what it raises.
    """

    def __init__(self, inputs: Iterable, text: str | list | None):
        if isinstance(inputs, Set) or not (hasattr(inputs, "__iter__") or hasattr(inputs, "__getitem__")):
            order = ", which has no order" if isinstance(inputs, Set) else ""
            raise TypeError(f"inputs is a {type(inputs).__name__}{order}; give an image, a list of images, or dicts")
        self.inputs, self.text, self.length = inputs, text, length_of(inputs)
        if text is None or isinstance(text, str):
            return
        if self.length is None:
            raise ValueError("with an iterator give a single string as text, or let it yield dicts of image and text")
        self.text = list_of_texts(text)
        if len(self.text) != self.length:
            raise ValueError(
                f"{self.length} images but {len(self.text)} texts; give one text per image (an expression, or a list "
                "of them), or a single string for all images"
            )

    def batches(self, size: int) -> Iterator[dict]:
        """What `preprocess` takes, `size` images each."""
        items, told, start = self._items(), set(), 0
        while chunk := list(islice(items, size)):
            yield as_batch(chunk, start, told)
            start += len(chunk)

    def _items(self) -> Iterator[dict]:
        inputs = self.inputs
        if self.length is not None and hasattr(inputs, "__getitem__"):  # data sets of torch do not say where they end
            inputs = (self.inputs[index] for index in range(self.length))
        if self.text is None:
            return iter(inputs)
        texts = repeat(self.text) if isinstance(self.text, str) else self.text
        return ({"image": image, "text": text} for image, text in zip(inputs, texts, strict=False))


class Answers:
    """The answers to a data set: an iterable that segments while it is read, and knows its length."""

    def __init__(self, make: Callable[[], Iterator], length: int):
        self.make, self.length = make, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator:
        return self.make()


def length_of(inputs) -> int | None:
    try:
        return len(inputs)
    except TypeError:  # iterators and streams
        return None


def is_one_input(inputs) -> bool:
    """An image or a dict, not several of them."""
    one = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, Image.Image, np.ndarray, torch.Tensor)
    return isinstance(inputs, one) or hasattr(inputs, "read")


def as_batch(items: list, start: int = 0, told: set | None = None) -> dict:
    """Dicts of `image` and `text` -> the one input that `preprocess` takes.

    Args:
        items: the dicts.
        start: number of the first among the inputs of the call, for messages.
        told: the expressions that have been warned about.

    Returns: `images`; `names`, what messages call them; `texts` as they were given; `expressions`, a list of strings
        per image; `told`.
    """
    for number, item in enumerate(items, start):
        if not isinstance(item, Mapping) or "image" not in item or "text" not in item:
            raise ValueError(
                f"no expression in input {number}, {reprlib.repr(item)}; call pipe(image, text), or "
                "pipe({'image': ..., 'text': ...})"
            )
        if isinstance(item["image"], Mapping) and "image" in item["image"]:
            raise ValueError(
                f"input {number} is a dict with the fields {sorted(map(str, item['image']))}, and a text was given "
                "beside it: leave the text out, or give the images alone, as KeyDataset(dataset, 'image') does"
            )
    texts = [item["text"] for item in items]
    return {
        "images": [item["image"] for item in items],
        "names": [f"image {number}" for number in range(start, start + len(items))],
        "texts": texts,
        "expressions": [pair(text, num_images=1)[0] for text in texts],
        "told": set() if told is None else told,
    }


def as_answer(expression: str, result: dict) -> dict:
    mask = Image.fromarray(result["mask"].numpy().astype(np.uint8) * 255)
    return {"label": expression, "score": result["score"], "mask": mask, "box": result["box"]}
