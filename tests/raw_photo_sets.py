"""Small copies of the folders that the set of photos is built from."""

import json

import numpy as np
from photo_folder import BLUE, RED, ref, write_folder
from PIL import Image

# COCO's ids of the photos of each set; 1 is in two of them.
PHOTOS = {
    "coco_cc_expressions": (1, 2),
    "coco_mini_instances": (1, 3, 4, 9),
    "photo_sets/coco_full": (5, 6),
    "photo_sets/coco_more": (7,),
    "photo_sets/coco_person_road": (8,),
    "photo_sets/voc2012_objects": (1, 2),
    "photo_sets/ccp_clothing": (1,),
    "refcoco_mini": (9,),
}
AUTHORED = {
    "coco_mini_instances": [(4, "train")],
    "coco_full": [(5, "val"), (6, "train")],
    "voc2012_objects": [(1, "train")],
}


def write_raw(root):
    """Writes all of them below `root`, which is returned. Every photo has a background of its own."""
    for number, (name, image_ids) in enumerate(PHOTOS.items()):
        refs = [ref(1, "val"), ref(2, "train")] if name == "coco_cc_expressions" else ()
        folder = write_folder(root, name, image_ids, refs)
        for image_id in image_ids:
            # COCO's photos have the same content in every set.
            seed = image_id if number < 5 or name == "refcoco_mini" else 100 * number + image_id
            repaint(folder / "images" / f"{image_id}.png", seed)
    (root / "authored_expressions").mkdir()
    authored = [
        ref(image_id, split) | {"ref_id": number * 10 + image_id, "set": name}
        for number, (name, refs) in enumerate(AUTHORED.items())
        for image_id, split in refs
    ]
    (root / "authored_expressions" / "refs.json").write_text(json.dumps(authored))
    return root


def repaint(file, seed):
    """Large gray squares, different for every seed, behind the two dogs."""
    squares = np.random.default_rng(seed).integers(60, 200, (6, 10)).astype(np.uint8)
    pixels = np.repeat(np.repeat(squares, 20, axis=0), 20, axis=1)[..., None].repeat(3, axis=2)
    for x, color in ((20, RED), (140, BLUE)):
        pixels[40:100, x : x + 40] = color
    Image.fromarray(pixels).save(file)
