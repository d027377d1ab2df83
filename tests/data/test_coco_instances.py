import contextlib
import io

import numpy as np
from pycocotools.coco import COCO

from hf_refseg.data.coco_instances import CocoInstances
from hf_refseg.data.schema import decode_mask


def test_masks_and_boxes_of_real_annotations_are_cocos(shared_dir):
    """Every crowd and every seventh of the other 2,000: polygons of several parts, and run lengths not compressed."""
    file = shared_dir / "data" / "coco_mini_instances" / "instances.json"
    instances = CocoInstances(file)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(file)
    annotations = list(instances.annotations.values())
    crowds = [annotation for annotation in annotations if annotation["iscrowd"]]
    assert len(annotations) == 2_025 and crowds
    for annotation in crowds + annotations[::7]:
        instances.check_image(annotation["image_id"], "test")
        instances.check_annotation(annotation["id"], annotation["image_id"], "test")
        mask = decode_mask(instances.mask(annotation["id"]))
        np.testing.assert_array_equal(mask, coco.annToMask(annotation).astype(bool), err_msg=str(annotation["id"]))
        x, y, width, height = annotation["bbox"]
        assert instances.box(annotation["id"]) == [x, y, x + width, y + height]
