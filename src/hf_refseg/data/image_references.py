"""Images with all of their objects and references: what a system trains on that compares the objects of an image."""

from collections.abc import Iterable, Mapping, Sequence

from .rows import ReferringRows


class ImageReferences(Sequence):
    """The images of rows, each with every reference to it.

    An item is a dict of image, image_id, source, split, height, width; instances, every annotated object as the schema
    has them; and refs, dicts of ref_id, ann_id, category, attributes and sentences. References to no object or to
    several are left out: systems that train on these choose one.

    Args:
        rows: rows of a data set that knows the objects of its images (`instances_of`). RefShapes gives as many
            references to a scene as its `refs_per_scene` says; their dialect should mean one object, as "refcoco" does.
        attributes: attribute words of each ref_id, e.g. of [`hf_refseg.models.mattnet.training_attributes`]; where it
            is not given, those that the instances carry.

    Raises (on access):
        ValueError: a reference means an object that the image does not list, or the data set does not know the objects.
    """

    def __init__(self, rows: ReferringRows, attributes: Mapping[int, Iterable[str]] | None = None):
        self.rows, self.attributes = rows, attributes
        self._images = rows.with_instances().by_image()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict:
        return group_references(self._images[index], self.attributes)


def group_references(rows: Sequence[dict], attributes: Mapping[int, Iterable[str]] | None = None) -> dict:
    """One item of [`ImageReferences`] from the rows of one image, the first of which has its picture and objects."""
    first = rows[0]
    where = f"{first['source']} {first['split']} image_id={first['image_id']}"
    if not first.get("instances"):
        raise ValueError(f"{where}: its rows have no field `instances`, the objects to choose from")
    by_id = {instance["ann_id"]: instance for instance in first["instances"]}
    refs = []
    for row in rows:
        # PhraseCut has annotations that cover several instances.
        if len(row["ann_ids"]) != 1 or len(row["boxes"]) != 1:
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
    fields = ("image", "image_id", "source", "split", "height", "width")
    item = {name: first[name] for name in fields if name in first}
    return item | {"instances": list(first["instances"]), "refs": refs}
