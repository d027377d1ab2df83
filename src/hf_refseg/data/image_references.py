"""Images with all of their objects and references: what a system trains on that compares the objects of an image."""

from collections.abc import Iterable, Mapping, Sequence

from .refshapes import RefShapes
from .rows import ReferringRows


class ImageReferences(Sequence):
    """
    The images of rows of the schema, each with every reference to it.

    An item is a dict of image, image_id, source, split, height, width; instances, every annotated object as the schema
    has them (COCO's without mask); and refs, dicts of ref_id, ann_id, category, attributes and sentences. References to
    no object or to several are left out: such systems choose one.

    Args:
        rows: `ReferringRows` that know their images' objects, or rows (of `datasets`, or a list) with `instances`.
        attributes: attribute words of each ref_id, e.g. of [`hf_refseg.models.mattnet.attribute_words`]; where it is
            not given, those the instances carry.

    Raises:
        ValueError: a reference means an object that the image does not list, or rows do not tell the objects.
    """

    def __init__(self, rows: Sequence[dict], attributes: Mapping[int, Iterable[str]] | None = None):
        self.rows, self.attributes = rows, attributes
        self._of_image: dict[int, list[int]] = {}
        for index, image_id in enumerate(_image_ids(rows)):
            self._of_image.setdefault(image_id, []).append(index)
        self._images = list(self._of_image)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict:
        first, *others = self._of_image[self._images[index]]
        rows = self.rows
        # The picture is opened once.
        plain = rows.without_pictures() if isinstance(rows, ReferringRows) else rows
        of_image = [rows[first], *(plain[other] for other in others)]
        instances = rows.instances_of(first) if isinstance(rows, ReferringRows) else None
        return group_references(of_image, instances, self.attributes)


class SceneReferences(Sequence):
    """
    Scenes of RefShapes with several references each, as items of [`ImageReferences`].

    Args:
        shapes: the scenes; their dialect should mean one object, as "refcoco" does.
        refs_per_scene: how many references to ask for; a scene may give fewer.
    """

    def __init__(self, shapes: RefShapes, refs_per_scene: int = 3):
        self.shapes, self.refs_per_scene = shapes, refs_per_scene

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> dict:
        return group_references(self.shapes.scene(index, self.refs_per_scene))


def group_references(
    rows: Sequence[dict], instances: list[dict] | None = None, attributes: Mapping[int, Iterable[str]] | None = None
) -> dict:
    """One item of [`ImageReferences`] from the rows of one image."""
    first = rows[0]
    where = f"{first['source']} {first['split']} image_id={first['image_id']}"
    instances = first.get("instances") if instances is None else instances
    if not instances:
        raise ValueError(f"{where}: its rows have no field `instances`, the objects to choose from")
    by_id = {instance["ann_id"]: instance for instance in instances}
    refs = []
    for row in rows:
        if len(row["ann_ids"]) != 1:
            continue
        (ann_id,) = row["ann_ids"]
        if ann_id not in by_id:
            raise ValueError(f"{where}: ref_id={row['ref_id']} means {ann_id}, which is none of {sorted(by_id)}")
        known = by_id[ann_id].get("attributes") or () if attributes is None else attributes.get(row["ref_id"], ())
        sentences = [sentence["sent"] for sentence in row["sentences"] if sentence["sent"].strip()]
        if sentences:
            refs.append(
                {
                    "ref_id": row["ref_id"],
                    "ann_id": ann_id,
                    "category": by_id[ann_id]["category"],
                    "attributes": list(known),
                    "sentences": sentences,
                }
            )
    fields = ("image_id", "source", "split", "height", "width")
    item = {name: first[name] for name in fields} | {"instances": list(instances), "refs": refs}
    return item | {"image": first["image"]} if "image" in first else item


def _image_ids(rows: Sequence[dict]) -> Iterable[int]:
    if isinstance(rows, ReferringRows):
        return (rows.image_record(index)["image_id"] for index in range(len(rows)))
    if hasattr(rows, "column_names"):  # a Dataset of `datasets`, whose pictures need not be decoded for this
        return rows["image_id"]
    return (row["image_id"] for row in rows)
