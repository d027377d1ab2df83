"""The annotated objects of a row, as detectors and systems over regions take them."""

from collections.abc import Mapping

import torch


def object_labels(row: dict, labels: Mapping[str, int]) -> list[int]:
    """The label of each annotated object of a row.

    Args:
        row: of the one schema, with the field `instances`.
        labels: the label of each category that the model knows.

    Raises:
        ValueError: the row does not list its objects, or holds a category that the model does not know.
    """
    if row.get("instances") is None:
        raise ValueError(
            f"row {row['source']} {row['split']} of image {row['image_id']} has no field instances, the objects of its "
            "image; RefShapes, COCO and official files of RefCOCO have it"
        )
    unknown = {thing["category"] for thing in row["instances"]} - labels.keys()
    if unknown:
        raise ValueError(f"image {row['image_id']} holds {sorted(unknown)}; the detector knows {list(labels)}")
    return [labels[thing["category"]] for thing in row["instances"]]


def object_boxes(row: dict) -> torch.Tensor:
    """The boxes of the annotated objects of a row: (R, 4) float64, xyxy in pixels of the image, exclusive end.

    A box of no width or height, as a few of COCO's annotations have, becomes one pixel wide or high.
    """
    boxes = torch.tensor([thing["box"] for thing in row["instances"]], dtype=torch.float64).reshape(-1, 4)
    flat = boxes[:, 2:] == boxes[:, :2]
    return torch.cat([boxes[:, :2], boxes[:, 2:] + flat], 1)


def check_categories(rows, labels: Mapping[str, int]) -> None:
    """Raises ValueError where rows have categories that the model does not know, before a training finds one of them.

    Args:
        rows: with `categories`; of a stream, which is read once, nothing is known yet.
        labels: the label of each category that the model knows.
    """
    unknown = [] if rows.is_stream else [name for name in rows.categories if name not in labels]
    if unknown:
        raise ValueError(
            f"{rows.source} has {len(unknown)} categories that the detector does not know ({', '.join(unknown[:5])}); "
            f"it knows {len(labels)} ({', '.join(list(labels)[:5])}): train a detector on them first, or give another"
        )
