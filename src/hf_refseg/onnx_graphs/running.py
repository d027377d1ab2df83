"""The two graphs under onnxruntime, called as the model that they were exported from."""

import json
from pathlib import Path

import torch

from ..layers.image_index import resolve_image_index
from ..outputs import ReferringSegmentationOutput


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
        FileNotFoundError: the folder lacks a graph. ImportError: onnxruntime is not installed.
    """

    def __init__(self, folder: str | Path, threads: int | None = None):
        from .exporting import DESCRIPTION, EXPRESSION_GRAPH, IMAGE_GRAPH

        folder = Path(folder)
        for name in (DESCRIPTION, IMAGE_GRAPH, EXPRESSION_GRAPH):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name} is missing: `hf-refseg export onnx` writes it")
        self.description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        self.image_graph = open_graph(folder / IMAGE_GRAPH, threads)
        self.expression_graph = open_graph(folder / EXPRESSION_GRAPH, threads)
        self.image_runs = 0  # how often the image graph was run

    def get_image_features(self, **inputs: torch.Tensor) -> list[dict]:
        """
        Everything about B photos that needs no words: B dicts, the inputs of the other graph.

        Args:
            inputs: what the processor returned, of which `pixel_values` (B, 3, H, W) is read; of a region system
                `region_descriptions` (B, R, D), `region_boxes` (B, R, 4) and `original_sizes` (B, 2).

        Raises ValueError where one of them is missing.
        """
        missing = [name for name in self.description["inputs"] if inputs.get(name) is None]
        if missing:
            raise ValueError(f"the graph of a photo needs {', '.join(missing)}")
        arrays = {name: inputs[name].numpy(force=True) for name in self.description["inputs"]}
        features = []
        for image in range(len(next(iter(arrays.values())))):
            one = {name: array[image : image + 1] for name, array in arrays.items()}
            values = self.image_graph.run(self.description["features"], one)
            features.append(dict(zip(self.description["features"], values, strict=True)))
            self.image_runs += 1
        return features

    def __call__(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_index: torch.Tensor | None = None,
        image_features: list[dict] | None = None,
        **inputs: torch.Tensor,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            input_ids, attention_mask: (N, T), the processor's.
            image_index: (N,) the image of each expression; needed unless B = 1 or B = N.
            image_features: from [`get_image_features`], in place of its arguments.
            inputs: as of [`get_image_features`].

        Returns:
            `logits` (N, H, W) of a dense system; `region_scores` (N, R), `no_target_scores` (N,) and `chosen` (N,) of a
            region system, whose photos need as many regions each.

        Raises ValueError: no expressions, neither photos nor features, or no way to tell which photo is meant.
        """
        if input_ids is None or attention_mask is None:
            raise ValueError("give input_ids and attention_mask: what to look for")
        features = self.get_image_features(**inputs) if image_features is None else image_features
        image_index = resolve_image_index(image_index, len(features), len(input_ids), input_ids.device)
        rows = [image_index.eq(image).nonzero()[:, 0] for image in range(len(features))]
        answers = [
            self.answer(one, input_ids[index], attention_mask[index])
            for one, index in zip(features, rows, strict=True)
            if len(index)
        ]
        order = torch.cat(rows).argsort()
        outputs = {name: torch.cat([one[name] for one in answers])[order] for name in self.description["outputs"]}
        if "region_scores" in outputs:
            outputs["chosen"] = outputs["region_scores"].argmax(1)  # (N, R) -> (N,)
        return ReferringSegmentationOutput(
            **outputs, image_index=image_index, original_sizes=inputs.get("original_sizes")
        )

    def answer(self, features: dict, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs of the expression graph for some expressions about one photo."""
        words = {"input_ids": input_ids.numpy(force=True), "attention_mask": attention_mask.numpy(force=True)}
        values = self.expression_graph.run(self.description["outputs"], features | words)
        return dict(zip(self.description["outputs"], map(torch.from_numpy, values), strict=True))


def open_graph(path: Path, threads: int | None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of constants that nothing needs
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
