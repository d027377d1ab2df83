"""A COCO-layout folder made on the spot: gray photos with a red dog on the left and a blue dog on the right."""

import json

import numpy as np
from PIL import Image

RED, BLUE = (220, 30, 30), (30, 60, 220)


def write_folder(root, name, image_ids, refs=()):
    """Writes `root/name` with an `instances.json` of these images and, where there are refs, a `refs.json`."""
    folder = root / name
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for image_id in image_ids:
        pixels = np.full((120, 200, 3), 128, dtype=np.uint8)
        for side, (x, color) in enumerate([(20, RED), (140, BLUE)]):
            pixels[40:100, x : x + 40] = color
            polygon = [x, 40, x + 40, 40, x + 40, 100, x, 100]
            annotation = {"id": 10 * image_id + side, "image_id": image_id, "category_id": 18, "iscrowd": 0}
            annotations.append(annotation | {"segmentation": [polygon], "bbox": [x, 40, 40, 60]})
        Image.fromarray(pixels).save(folder / "images" / f"{image_id}.png")
        images.append({"id": image_id, "height": 120, "width": 200, "file_name": f"{image_id}.png"})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 18, "name": "dog"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    if refs:
        (folder / "refs.json").write_text(json.dumps(list(refs)))
    return folder


def ref(image_id, split):
    sentence = {"sent_id": image_id, "sent": "dog on the left", "tokens": ["dog", "on", "the", "left"]}
    return {
        "ref_id": image_id,
        "image_id": image_id,
        "ann_id": 10 * image_id,
        "split": split,
        "sentences": [sentence],
    }
