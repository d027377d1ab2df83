"""Images with their phrases -> training batches of HULANet: each image once, with all of its phrases."""

from collections.abc import Sequence

import torch

from ...data.collator import ReferringSegmentationCollator


class PhraseCollator(ReferringSegmentationCollator):
    """Rows of the one schema -> inputs and targets of [`HulaNetForReferringSegmentation`].

    Args:
        processor: a [`HulaNetProcessor`].
        attributes: names in the order of the model's attribute classifier, which is then trained on the rows'
            `instances` too; None: it is not.
        by_image: items are the rows of an image (`rows.by_image()`), of which the first has the picture and the
            instances; otherwise single rows.
        seed: of the draws, of which there are none.

    Returns (on call):
        What the processor returns with labels, and, with `attributes`, `instance_boxes` and `instance_attributes`, per
        image (G_i, 4) and (G_i, A).

    Raises (on call):
        ValueError: rows that cannot be read (see [`ReferringSegmentationCollator`]), or without `instances` where these
            are needed.
    """

    def __init__(self, processor, attributes: Sequence[str] | None = None, by_image: bool = True, seed: int = 0):
        super().__init__(processor, sentence="all", seed=seed)
        self.by_image = by_image
        self.attribute_index = None if attributes is None else {name: place for place, name in enumerate(attributes)}

    def __call__(self, items: Sequence):
        images = [list(item) if self.by_image else [item] for item in items]
        of_images = []
        for rows in images:
            picture = {"image": rows[0]["image"]}
            of_images.append([self.processor.row_inputs(self.prepare(row | picture)) for row in rows])
        names = of_images[0][0].keys() - {"images", "text"}
        inputs = {name: [value for rows in of_images for row in rows for value in row[name]] for name in names}
        inputs["images"] = [rows[0]["images"] for rows in of_images]
        inputs["text"] = [[text for row in rows for text in row["text"]] for rows in of_images]
        batch = self.processor(**inputs, return_tensors="pt", allow_unknown=True)
        del batch["phrase_structure"]  # the model reads it in word_roles
        if self.attribute_index is not None:
            batch["instance_boxes"], batch["instance_attributes"] = zip(
                *(self.instances_of(rows[0]) for rows in images), strict=True
            )
        return batch

    def instances_of(self, row: dict) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (G, 4) and attributes (G, A) of the things in the image of a row."""
        if row.get("instances") is None:
            raise ValueError(
                f"{row['source']} image_id={row['image_id']} has no field `instances`, from which the attribute "
                "classifier learns: build the data set with --with-instances, or set attribute_loss_weight to 0"
            )
        things = [thing for thing in row["instances"] if is_visible(thing["box"], row["height"], row["width"])]
        labels = torch.zeros(len(things), len(self.attribute_index))
        for place, thing in enumerate(things):
            for name in thing["attributes"]:
                if name in self.attribute_index:
                    labels[place, self.attribute_index[name]] = 1
        return torch.tensor([thing["box"] for thing in things], dtype=torch.float32).reshape(-1, 4), labels


def is_visible(box: Sequence[float], height: int, width: int) -> bool:
    """Whether a box [x0, y0, x1, y1] has an area inside its image; a few of the annotated ones have none."""
    x0, y0, x1, y1 = box
    return min(x1, width) > max(x0, 0) and min(y1, height) > max(y0, 0)


__all__ = ["PhraseCollator"]
