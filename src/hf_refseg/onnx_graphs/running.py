"""The two graphs under onnxruntime, called as the model that they were exported from."""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..layers.image_index import resolve_image_index
from ..outputs import ReferringSegmentationOutput

# What any processor may return beside what a graph reads.
OF_PROCESSORS = ("pixel_mask", "original_sizes", "image_scales", "phrase_structure")
DESCRIBED = ("inputs", "words", "features", "outputs", "side_multiple")


class OnnxModel:
    """
    Photos and expressions in, mask logits out.

    ```python
    model, processor = OnnxModel("exported"), AutoProcessor.from_pretrained("exported")
    inputs = processor(images=image, text=["the cat", "the dog"])
    results = processor.post_process_referring_segmentation(model(**inputs), inputs["original_sizes"])
    ```

    Args:
        folder: what `export_onnx` wrote.
        threads: of onnxruntime; None: as many as it chooses.

    Raises:
        FileNotFoundError: the folder lacks a graph. ValueError: one of its files is damaged. ImportError: onnxruntime
            is not installed.
    """

    def __init__(self, folder: str | Path, threads: int | None = None):
        from .exporting import DESCRIPTION, EXPRESSION_GRAPH, IMAGE_GRAPH

        folder = Path(folder)
        for name in (DESCRIPTION, IMAGE_GRAPH, EXPRESSION_GRAPH):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name} is missing: `hf-refseg export onnx` writes it")
        self.description = read_description(folder / DESCRIPTION)
        self.image_graph = open_graph(folder / IMAGE_GRAPH, threads)
        self.expression_graph = open_graph(folder / EXPRESSION_GRAPH, threads)
        self.image_runs = 0  # how often the image graph was run

    def get_image_features(self, **inputs: torch.Tensor) -> list[dict]:
        """
        Everything about B photos that needs no words: B dicts, the inputs of the other graph.

        Args:
            inputs: what the processor returned; those are read that `graphs.json` names.

        Raises ValueError where one of them is missing.
        """
        if "pixel_mask" in self.description["inputs"] and inputs.get("pixel_values") is not None:
            inputs = with_pixel_mask(**inputs)
        missing = [name for name in self.description["inputs"] if inputs.get(name) is None]
        if missing:
            raise ValueError(f"the graph of a photo needs {', '.join(missing)}")
        arrays = {name: inputs[name].numpy(force=True) for name in self.description["inputs"]}
        features = []
        for image in range(len(next(iter(arrays.values())))):
            one = fit_sides({name: array[image : image + 1] for name, array in arrays.items()}, self.description)
            values = self.image_graph.run(self.description["features"], one)
            features.append(dict(zip(self.description["features"], values, strict=True)))
            self.image_runs += 1
        return features

    def __call__(
        self,
        image_index: torch.Tensor | None = None,
        image_features: list[dict] | None = None,
        **inputs: torch.Tensor,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            image_index: (N,) the image of each expression; needed unless B = 1 or B = N.
            image_features: from [`get_image_features`], in place of its arguments.
            inputs: as of [`get_image_features`], and `input_ids`, `attention_mask` and what else the processor says of
                words, (N, T) each.

        Returns:
            `logits` (N, H, W), and of a system that chooses among regions the other fields of its answers. Masks of
            such a system may reach beyond the network's input, at the right and bottom.

        Raises ValueError: no expressions, neither photos nor features, or both, or no way to tell which photo is meant.
        TypeError: an input that no graph reads.
        """
        self.refuse_unread(inputs)
        if image_features is not None and inputs.get("pixel_values") is not None:
            raise ValueError("image_features hold their photos already: leave out pixel_values")
        words = {name: inputs.get(name) for name in self.description["words"]}
        if any(values is None for values in words.values()):
            raise ValueError(f"give {' and '.join(words)}: what to look for")
        input_ids = words["input_ids"]
        features = self.get_image_features(**inputs) if image_features is None else image_features
        image_index = resolve_image_index(image_index, len(features), len(input_ids), input_ids.device)
        rows = [image_index.eq(image).nonzero()[:, 0] for image in range(len(features))]
        answers = [
            self.answer(one, {name: values[index] for name, values in words.items()})
            for one, index in zip(features, rows, strict=True)
            if len(index)
        ]
        order = torch.cat(rows).argsort()
        outputs = {name: join([one[name] for one in answers])[order] for name in self.description["outputs"]}
        return ReferringSegmentationOutput(
            **outputs, image_index=image_index, original_sizes=inputs.get("original_sizes")
        )

    def refuse_unread(self, inputs: dict) -> None:
        unread = [name for name, value in inputs.items() if value is not None]
        read = (*self.description["inputs"], *self.description["words"])
        unread = [name for name in unread if name not in (*read, *OF_PROCESSORS)]
        if unread:
            raise TypeError(f"the graphs read no {', '.join(unread)}; they read {', '.join(read)}")

    def answer(self, features: dict, words: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The outputs of the expression graph for some expressions about one photo."""
        arrays = {name: values.numpy(force=True) for name, values in words.items()}
        values = self.expression_graph.run(self.description["outputs"], features | arrays)
        return dict(zip(self.description["outputs"], map(torch.from_numpy, values), strict=True))


def with_pixel_mask(pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None = None, **inputs) -> dict:
    """The processor's inputs, which have a mask only where the photos of a batch differ in size."""
    pixel_mask = torch.ones_like(pixel_values[:, 0], dtype=torch.long) if pixel_mask is None else pixel_mask
    return {"pixel_values": pixel_values, "pixel_mask": pixel_mask, **inputs}


def fit_sides(inputs: dict[str, np.ndarray], description: dict) -> dict[str, np.ndarray]:
    """The inputs of one photo, its sides padded with zeros to multiples of what the graph's description says, instead
    of to those of the largest photo of its batch, which would leak into it at a convolution."""
    if "pixel_mask" not in inputs:  # then all photos have one size
        return inputs
    multiple = description["side_multiple"]
    height, width = (int(inputs["pixel_mask"][0].max(axis).sum()) for axis in (1, 0))
    padding = [(0, -height % multiple), (0, -width % multiple)]
    fitted = {
        name: np.pad(array[..., :height, :width], [(0, 0)] * (array.ndim - 2) + padding)
        for name, array in inputs.items()
        if name in ("pixel_values", "pixel_mask")
    }
    return inputs | fitted


def join(answers: list[torch.Tensor]) -> torch.Tensor:
    """(n, ...) about each photo -> (N, ...); masks grow at the right and bottom to the size of the largest."""
    if answers[0].ndim == 3:
        height, width = (max(one.shape[dim] for one in answers) for dim in (1, 2))
        answers = [F.pad(one, (0, width - one.shape[2], 0, height - one.shape[1]), value=one.min()) for one in answers]
    return torch.cat(answers)


def read_description(path: Path) -> dict:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or cut off ({error}); export the model again") from error
    if not isinstance(description, dict) or not set(DESCRIBED) <= description.keys():
        raise ValueError(f"{path} lacks one of {', '.join(DESCRIBED)}; export the model again")
    return description


def open_graph(path: Path, threads: int | None):
    """A session of onnxruntime; raises ValueError for a damaged file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of constants that nothing needs
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each of its faults
        raise ValueError(f"{path} is damaged or cut off ({error}); export the model again") from error
