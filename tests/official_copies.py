"""Small copies of the official files of every data set, exact in names, layout and types, pictures included.

Two images per split; each has a red box on the left and a blue one on the right of a gray photo of 40 x 30.
"""

import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.io import savemat

WIDTH, HEIGHT = 40, 30
LEFT, RIGHT = (4, 6, 16, 24), (24, 6, 36, 24)  # x0, y0, x1, y1, exclusive
SENTENCES = [["the red box", "box on the left"], ["blue box"]]


class _Python2Pickler(pickle._Pickler):
    """Writes str as Python 2 did, byte strings; protocol 0 is what its pickle.dump wrote when not told otherwise."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        if isinstance(text, Unicode):
            return pickle._Pickler.save_str(self, str(text))
        data = text.encode("utf-8")
        if self.proto == 0:
            self.write(b"S" + repr(data)[1:].encode("ascii") + b"\n")
        elif len(data) < 256:
            self.write(b"U" + bytes([len(data)]) + data)
        else:
            self.write(b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(text)

    dispatch[str] = save_str


class Unicode(str):
    """A unicode string of Python 2, which its pickles keep apart from byte strings."""


_Python2Pickler.dispatch[Unicode] = _Python2Pickler.save_str


def python2_pickle(content, file: Path, protocol: int = 2) -> None:
    with open(file, "wb") as stream:
        _Python2Pickler(stream, protocol).dump(content)


def photo(file: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    for (x0, y0, x1, y1), color in ((LEFT, (220, 30, 30)), (RIGHT, (30, 60, 220))):
        pixels[y0:y1, x0:x1] = color
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, quality=95)


def box_mask(box) -> np.ndarray:
    x0, y0, x1, y1 = box
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def polygon(box) -> list[float]:
    x0, y0, x1, y1 = map(float, box)
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def image_name(image_id: int) -> str:
    return f"COCO_train2014_{image_id:012d}.jpg"


def coco_annotations(image_ids, as_rle: bool = False) -> list[dict]:
    annotations = []
    for image_id in image_ids:
        for side, box in enumerate((LEFT, RIGHT)):
            x0, y0, x1, y1 = box
            rle = coco_mask.encode(np.asfortranarray(box_mask(box)))
            annotations.append(
                {
                    "id": 10 * image_id + side,
                    "image_id": image_id,
                    "category_id": 18 + side,
                    "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                    "area": float((x1 - x0) * (y1 - y0)),
                    "iscrowd": 0,
                    "segmentation": [rle | {"counts": rle["counts"].decode()}] if as_rle else [polygon(box)],
                }
            )
    return annotations


def write_instances(folder: Path, image_ids, name=image_name, as_rle: bool = False) -> None:
    images = [{"id": i, "file_name": name(i), "height": HEIGHT, "width": WIDTH, "license": 4} for i in image_ids]
    categories = [{"id": 18, "name": "dog"}, {"id": 19, "name": "horse"}]
    content = {
        "info": {},
        "images": images,
        "annotations": coco_annotations(image_ids, as_rle),
        "categories": categories,
    }
    (folder / "instances.json").write_text(json.dumps(content))


def refs_of(splits: dict[str, int], name=image_name, first_image: int = 1) -> list[dict]:
    """Two images per split, a ref for each box of each; the number of images per split is the dict's value."""
    refs, image_id, ref_id, sent_id = [], first_image, 0, 0
    for split, images in splits.items():
        for _ in range(images):
            for side, texts in enumerate(SENTENCES):
                sentences = []
                for text in texts:
                    raw = text.capitalize() + "."
                    sentences.append({"sent_id": sent_id, "sent": text, "raw": raw, "tokens": text.split()})
                    sent_id += 1
                stem, ending = name(image_id).rsplit(".", 1)
                refs.append(
                    {
                        "ref_id": ref_id,
                        "ann_id": 10 * image_id + side,
                        "category_id": 18 + side,
                        "image_id": image_id,
                        # The official files' file_name ends in "_<n>" and names no picture.
                        "file_name": f"{stem}_{side}.{ending}",
                        "split": split,
                        "sent_ids": [sentence["sent_id"] for sentence in sentences],
                        "sentences": sentences,
                    }
                )
                ref_id += 1
            image_id += 1
    return refs


UNC_SPLITS = {"train": 2, "val": 2, "testA": 2, "testB": 2}
GOOGLE_SPLITS = {"train": 4, "val": 2, "test": 2}


def write_refer(root: Path, folder: str = "refcoco", partition: str = "unc", splits=None, protocol: int = 2) -> Path:
    """ROOT/refcoco/refs(unc).p and instances.json, pictures in ROOT/images/mscoco/images/train2014; returns ROOT."""
    splits = splits or (UNC_SPLITS if partition == "unc" else GOOGLE_SPLITS)
    (root / folder).mkdir(parents=True, exist_ok=True)
    image_ids = range(1, sum(splits.values()) + 1)
    python2_pickle(refs_of(splits), root / folder / f"refs({partition}).p", protocol)
    write_instances(root / folder, image_ids)
    for image_id in image_ids:
        photo(root / "images" / "mscoco" / "images" / "train2014" / image_name(image_id))
    return root


def write_refclef(root: Path, partition: str = "unc") -> Path:
    """RefCLEF: masks as lists of RLEs, one ref in two test splits, pictures in ROOT/images/saiapr_tc-12."""
    splits = UNC_SPLITS | {"testC": 1, "testBC": 1} if partition == "unc" else GOOGLE_SPLITS
    (root / "refclef").mkdir(parents=True)
    image_ids = range(1, sum(splits.values()) + 1)
    python2_pickle(refs_of(splits, _plain_name), root / "refclef" / f"refs({partition}).p")
    write_instances(root / "refclef", image_ids, _plain_name, as_rle=True)
    for image_id in image_ids:
        photo(root / "images" / "saiapr_tc-12" / f"{image_id}.jpg")
    return root


def _plain_name(image_id: int) -> str:
    return f"{image_id}.jpg"


def write_grefcoco(root: Path, as_pickle: bool = False) -> Path:
    """gRefCOCO: per image a ref of one target, one of both, and one of none."""
    (root / "grefcoco").mkdir(parents=True)
    refs = []
    for ref in refs_of(UNC_SPLITS)[::2]:
        image_id = ref["image_id"]
        targets = ([10 * image_id], [10 * image_id, 10 * image_id + 1], [-1])
        for kind, (ann_ids, text) in enumerate(zip(targets, ("red box", "both boxes", "green box"), strict=True)):
            sent_id = 3 * ref["ref_id"] + kind
            categories = [-1] if ann_ids == [-1] else [18 + ann_id % 10 for ann_id in ann_ids]
            sentence = {"sent_id": sent_id, "sent": text, "raw": text, "tokens": text.split()}
            ids = {"ref_id": 3 * ref["ref_id"] + kind, "ann_id": ann_ids, "category_id": categories}
            refs.append(ref | ids | {"sentences": [sentence], "sent_ids": [sent_id]})
    if as_pickle:
        python2_pickle(refs, root / "grefcoco" / "grefs(unc).p")
    else:
        (root / "grefcoco" / "grefs(unc).json").write_text(json.dumps(refs))
    image_ids = range(1, sum(UNC_SPLITS.values()) + 1)
    write_instances(root / "grefcoco", image_ids)
    for image_id in image_ids:
        photo(root / "images" / "mscoco" / "images" / "train2014" / image_name(image_id))
    return root


def write_referit(root: Path) -> Path:
    """text_objseg's exp-referit: data/*.json and lists, referit-dataset/mask/*.mat and images; returns ROOT."""
    data, masks = root / "exp-referit" / "data", root / "exp-referit" / "referit-dataset" / "mask"
    data.mkdir(parents=True)
    masks.mkdir(parents=True)
    boxes, crops, sizes, image_id = {}, {}, {}, 100
    for split in ("train", "val", "test"):
        queries, images = {}, []
        for _ in range(2):
            image_id += 1
            images.append(str(image_id))
            sizes[f"{image_id}.jpg"] = [WIDTH, HEIGHT]
            crops[f"{image_id}.jpg"] = [f"{image_id}_{k}" for k in (1, 2, 3)]
            for k, (x0, y0, x1, y1) in ((1, LEFT), (2, RIGHT), (3, RIGHT)):
                region = f"{image_id}_{k}"
                boxes[region] = [x0, y0, x1 - 1, y1 - 1]
                savemat(masks / f"{region}.mat", {"segimg_t": 1 - box_mask((x0, y0, x1, y1))})
            # Region 3 has no expression.
            queries |= {f"{image_id}_{k + 1}": texts for k, texts in enumerate(SENTENCES)}
            photo(root / "exp-referit" / "referit-dataset" / "images" / f"{image_id}.jpg")
        (data / f"referit_query_{split}.json").write_text(json.dumps(queries))
        (data / f"referit_{split}_imlist.txt").write_text("\n".join(images) + "\n")
    for name, content in (("bbox", boxes), ("imcrop", crops), ("imsize", sizes)):
        (data / f"referit_{name}.json").write_text(json.dumps(content))
    return root


def write_phrasecut(root: Path) -> Path:
    """VGPhraseCut_v0: per image a task of one instance and one of two; returns ROOT."""
    folder = root / "VGPhraseCut_v0"
    folder.mkdir(parents=True)
    info, image_id = [], 2000
    for split in ("train", "val", "test", "miniv"):
        tasks = []
        for coco_id in (None, image_id + 7):
            image_id += 1
            size = {"width": WIDTH, "height": HEIGHT}
            info.append({"image_id": image_id, "coco_id": coco_id, "flickr_id": None, "url": "", "split": split} | size)
            tasks += [_task(image_id, [501], "red box", [LEFT]), _task(image_id, [501, 502], "boxes", [LEFT, RIGHT])]
            photo(folder / "images" / f"{image_id}.jpg")
        (folder / f"refer_{split}.json").write_text(json.dumps(tasks))
    (folder / "image_data_split.json").write_text(json.dumps(info))
    counts = {"cat": [["box", 16]], "att": [["red", 8]], "rel": [["on", 4]]}
    (folder / "name_att_rel_count.json").write_text(json.dumps(counts))
    skipped = _task(2001, [503], "green box", [])
    skipped = {key: skipped[key] for key in ("task_id", "image_id", "ann_ids", "phrase", "phrase_structure")}
    records = [skipped | {"skip_reason": "Not in Image"}, skipped | {"reason": "Other", "task_id": "2001__504"}]
    (folder / "skip.json").write_text(json.dumps(records))
    return root


def _task(image_id: int, ann_ids: list[int], phrase: str, boxes) -> dict:
    name, attributes = phrase.split()[-1], phrase.split()[:-1]
    return {
        "task_id": f"{image_id}__{'_'.join(map(str, ann_ids))}",
        "image_id": image_id,
        "ann_ids": ann_ids,
        "instance_boxes": [[x0 + 0.5, float(y0), x1 - x0 + 0.25, float(y1 - y0)] for x0, y0, x1, y1 in boxes],
        "Polygons": [
            [[[x0 + 0.71, y0 + 0.005], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]]] for x0, y0, x1, y1 in boxes
        ],
        "phrase": phrase,
        "phrase_structure": {
            "name": name,
            "attributes": attributes,
            "relation_ids": [77],
            "relation_descriptions": [["on", "floor"]],
            "type": "attribute" if attributes else "name",
        },
    }
