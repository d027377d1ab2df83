"""A handler for Hugging Face Inference Endpoints, which call the `EndpointHandler` of a repository's `handler.py`.

`hf-refseg bundle` copies this file there, where neither this package nor anything beside transformers is needed.

    {"inputs": {"image": "<base64 of a photo>", "text": ["the cat", "the dog"]}, "parameters": {"threshold": 0.5}}

is answered, one entry per expression, with `label`, `score`, `box` [x0, y0, x1, y1] or null, `mask`, the base64 of a
PNG of the photo's size, 255 where the mask is, and the words that could not change it: `unknown_words`, which the model
does not know, and `unread_words` at the end, of which `max_length` lets it read more.
"""

import base64
import io
from typing import Any

import torch
from transformers import pipeline

TASK = "image-segmentation"  # the name under which a repository's own pipeline is registered
SEND = 'send {"inputs": {"image": "<base64 of a photo>", "text": "the cat"}}'
PARAMETERS = ("threshold", "interpolation", "refine", "max_length")


class EndpointHandler:
    """
    Args:
        path: of the repository's files.
    """

    def __init__(self, path: str = ""):
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.pipeline = pipeline(TASK, model=path, trust_remote_code=True, device=device)

    def __call__(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """
        Args:
            data: `inputs`, a dict of `image` and `text` (one expression or a list of them), and `parameters` of the
                pipeline, all of which may be left out.

        Raises:
            ValueError: a part is missing or unknown, or the photo or an expression is refused by the processor.
        """
        if not isinstance(data, dict):
            raise ValueError(f"the request is a {type(data).__name__}; {SEND}")
        refuse_others(data, ("inputs", "parameters"), "the request")
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(inputs, dict) or not {"image", "text"} <= set(inputs):
            raise ValueError(SEND)
        refuse_others(inputs, ("image", "text"), "inputs")
        if not isinstance(parameters, dict):
            raise ValueError(f"parameters are a {type(parameters).__name__}; send {{'threshold': 0.5}}")
        refuse_others(parameters, PARAMETERS, "parameters")
        image, text = inputs["image"], inputs["text"]
        if not isinstance(text, (str, list)):
            raise ValueError(f"the text is a {type(text).__name__}; send an expression or a list of them")
        if not isinstance(image, str):
            raise ValueError(f"the image is a {type(image).__name__}; send its file in base64")
        if not image.startswith("data:"):
            image = f"data:;base64,{image}"  # never a path of the endpoint's own disk
        answers = self.pipeline(image, text, **parameters)
        answers = [answers] if isinstance(answers, dict) else answers
        length = parameters.get("max_length")
        return [
            {**answer, "mask": png_of(answer["mask"]), **self.lost_words(answer["label"], length)} for answer in answers
        ]

    def lost_words(self, expression: str, max_length: int | None) -> dict[str, list[str]]:
        """What the pipeline logs on the server, where no client reads it."""
        processor = self.pipeline.processor
        return {
            "unknown_words": processor.unknown_words(expression),
            "unread_words": processor.unread_words(expression, max_length),
        }


def refuse_others(given: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raises ValueError for keys that nothing reads."""
    if unknown := sorted(map(str, set(given) - set(known))):
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(known)}")


def png_of(mask) -> str:
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
