"""Photos made on the spot with two dogs and a cup, and what is said about them."""

import numpy as np
from PIL import Image

from hf_refseg.data.rows import HeldRows
from hf_refseg.data.schema import encode_mask, union_masks

CATEGORIES = ["dog", "cat", "hat", "man", "cup"]
NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}
BOXES = [("dog", [4, 10, 24, 40]), ("dog", [36, 8, 60, 44]), ("cup", [26, 30, 34, 40])]


def make_rows(images: int = 2, split: str = "train") -> HeldRows:
    """Photos of noise with two dogs and a cup; the right dog, both dogs, a cat that is not there, and nothing said."""
    rows = []
    for image_id in range(images):
        values = np.random.default_rng(image_id).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        instances = []
        for ann_id, (category, box) in enumerate(BOXES):
            mask = np.zeros((48, 64), bool)
            mask[box[1] : box[3], box[0] : box[2]] = True
            values[mask] = (60 * ann_id, 90, 200)
            instances.append(
                {"ann_id": ann_id, "category": category, "attributes": [], "box": box, "mask": encode_mask(mask)}
            )
        for meant, sentence, source in (([1], "right dog", "w"), ([0, 1], "both dogs", "m"), ([], "the cat", "m")):
            masks = [instances[place]["mask"] for place in meant]
            rows.append(
                {
                    "image": Image.fromarray(values), "image_id": image_id, "file_name": f"{image_id}.png",
                    "height": 48, "width": 64, "ref_id": len(rows), "ann_ids": meant,
                    "category": "dog" if meant else "cat", "boxes": [instances[place]["box"] for place in meant],
                    "mask": union_masks(masks, 48, 64) if masks else encode_mask(np.zeros((48, 64), bool)),
                    "sentences": [{"sent_id": len(rows), "sent": sentence, "tokens": sentence.split()}],
                    "split": split, "source": source, "instances": instances, "labeled": ["dog", "hat"],
                }
            )  # fmt: skip
    return HeldRows(rows)
