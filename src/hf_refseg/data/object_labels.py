"""The objects of a row in the labels of a detector."""

from collections.abc import Mapping


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
