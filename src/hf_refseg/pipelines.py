"""`pipeline("referring-image-segmentation")`: a photo and expressions in, masks out, in one call."""

import reprlib
import types

import numpy as np
import transformers
from PIL import Image
from transformers import Pipeline, PreTrainedModel
from transformers.utils import logging

from .checkpoints import checkpoint_path, resolve_checkpoint
from .outputs import ReferringSegmentationOutput
from .processing.images import load_image
from .processing.pairing import pair

logger = logging.get_logger(__name__)

TASK = "referring-image-segmentation"


class ReferringSegmentationPipeline(Pipeline):
    """Segments what expressions mean.

    ```python
    segment = pipeline("referring-image-segmentation")       # the checkpoint that ships with the package
    segment("photo.jpg", "the dog on the left")              # {"label", "score", "mask", "box"}
    segment(image, ["the dog", "the red ball"])              # a list of them; the image is encoded once
    segment([image, other], [["the dog"], ["a cat", "a hat"]], batch_size=2)    # a list per image
    segment({"image": image, "text": "the dog"} for ...)     # a generator: lazily, one by one
    ```
    """

    task = TASK
    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False  # None would look for one, and ask for permission to run remote code

    def _sanitize_parameters(self, **options):
        unknown = set(options) - {"threshold", "interpolation", "refine"}
        if unknown:
            raise ValueError(f"unknown options {sorted(unknown)}; use threshold, interpolation or refine")
        return {}, {}, options

    def __call__(self, inputs, text: str | list[str] | list[list[str]] | None = None, batch_size=None, **options):
        """Segments every expression in its image.

        Args:
            inputs: an image (anything that `load_image` reads); a list of images; a dict with `image` and `text`, or a
                list or generator of such dicts.
            text: for one image an expression or a list of them; for a list of N images N expressions, or one list of
                expressions per image. None where `inputs` are dicts.
            batch_size: images per forward pass (1).
            options: `threshold`, `interpolation`, `refine`, see `post_process_referring_segmentation`.

        Returns: per expression a dict of `label` str, the expression; `score` float; `mask`, a `PIL.Image` of mode "L"
            at the image's size, 255 on what is meant; `box` [x0, y0, x1, y1] floats in pixels, or None for an empty
            mask. One dict for one image and one string, else lists nested like the texts.

        Raises ValueError where images and texts do not pair up, and what the processor raises.
        """
        size = batch_size if batch_size is not None else self._batch_size or 1
        if size < 1:
            raise ValueError(f"batch_size is {size}; give the number of images per forward pass, 1 or more")
        if isinstance(inputs, types.GeneratorType):
            if text is not None:
                raise ValueError("a generator yields dicts of image and text; do not pass text beside it")
            stream = super().__call__((as_batch([item]) for item in inputs), batch_size=1, **options)
            return (batch[0] for batch in stream)
        if not isinstance(inputs, (list, tuple)):
            item = inputs if text is None else {"image": inputs, "text": text}
            return super().__call__(as_batch([item]), **options)[0]
        items = inputs if text is None else pair_items(inputs, text)
        if not items:
            return []
        batches = [as_batch(items[start : start + size]) for start in range(0, len(items), size)]
        # each batch is one input to transformers, whose own batching would mix up whose expression is whose
        return [result for batch in super().__call__(batches, batch_size=1, **options) for result in batch]

    def preprocess(self, batch: dict) -> dict:
        images = [load_image(image, f"images[{index}]") for index, image in enumerate(batch["images"])]
        for expression in (expression for row in batch["expressions"] for expression in row):
            unknown = self.processor.unknown_words(expression)
            if unknown:
                logger.warning("%r: the model does not know the words %s", expression, ", ".join(unknown))
        inputs = self.processor(images, batch["expressions"], return_tensors="pt")
        return {**batch, "images": images, "inputs": inputs}

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


def pair_items(images: list, texts: str | list) -> list[dict]:
    """One dict per image; raises ValueError printing both numbers where they differ."""
    count = 1 if isinstance(texts, str) else len(texts)
    if isinstance(texts, str) or count != len(images):
        raise ValueError(
            f"{len(images)} images but {count} texts; give one text per image: an expression, or a list of them"
        )
    return [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]


def as_batch(items: list[dict]) -> dict:
    """Dicts of `image` and `text` -> the one input that `preprocess` takes: `images`, `texts` as they were given, and
    `expressions`, a list of strings per image."""
    for item in items:
        if not isinstance(item, dict) or "image" not in item or "text" not in item:
            raise ValueError(
                f"no expression in {reprlib.repr(item)}; call pipe(image, text), or pipe({{'image': ..., 'text': ...}})"
            )
    texts = [item["text"] for item in items]
    expressions = [pair(text, num_images=1)[0] for text in texts]
    return {"images": [item["image"] for item in items], "texts": texts, "expressions": expressions}


def as_answer(expression: str, result: dict) -> dict:
    mask = Image.fromarray(result["mask"].numpy().astype(np.uint8) * 255)
    return {"label": expression, "score": result["score"], "mask": mask, "box": result["box"]}


def pipeline(task: str = TASK, model: str | PreTrainedModel | None = None, **kwargs) -> ReferringSegmentationPipeline:
    """`transformers.pipeline` for this task, which also takes the bare name of a shipped checkpoint.

    Args:
        task: "referring-image-segmentation", the only one.
        model: the name of a checkpoint that ships with the package, a folder, a Hub id, or a model; None: the default
            checkpoint.
        kwargs: of `transformers.pipeline`.

    Raises ValueError for another task.
    """
    if task != TASK:
        raise ValueError(f"hf_refseg.pipeline is for {TASK!r}; for {task!r} use transformers.pipeline")
    if model is None or isinstance(model, str):
        model = checkpoint_path() if model is None else resolve_checkpoint(model)
    return transformers.pipeline(task, model, **kwargs)
