"""Golden cases of MAttNet's detector, array by array, and of the whole way from a photo to the chosen mask."""

import re
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from hf_refseg.layers.image_geometry import exclusive_to_inclusive
from hf_refseg.models.mask_rcnn.boxes import decode_boxes
from hf_refseg.models.mask_rcnn.convert_mask_rcnn import load_original
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from hf_refseg.models.mattnet.convert_mattnet import load_matching, tokenizer_from_infos
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from hf_refseg.models.mattnet.region_geometry import location_features, neighbor_rows, relative_locations
from hf_refseg.processing.mask_pasting import paste_masks

from .golden_case import EXACT, Checks, GoldenCase, stored

MASK_TOLERANCE = 1e-3  # share of pixels; a pixel at the cut may fall to either side
# COCO numbers its 80 categories from 1 to 90; these numbers are not given.
COCO_IDS = [number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]


def load_detector(case: GoldenCase) -> tuple[MaskRcnnForInstanceSegmentation, MaskRcnnImageProcessor]:
    """The converted detector and its processor, with the settings of the case."""
    options = case.config["detector"]
    model = load_original(case.checkpoint("tensors_detector"))
    config = model.config
    config.anchor_scales, config.anchor_ratios = options["ANCHOR_SCALES"], options["ANCHOR_RATIOS"]
    config.pre_nms_top_n, config.post_nms_top_n = options["RPN_PRE_NMS_TOP_N"], options["RPN_POST_NMS_TOP_N"]
    config.rpn_nms_threshold, config.nms_threshold = options["RPN_NMS_THRESH"], options["nms_thresh"]
    config.score_threshold = options["conf_thresh"]
    size = {"shortest_edge": options["TEST.SCALES"][0], "longest_edge": options["TEST.MAX_SIZE"]}
    return model, MaskRcnnImageProcessor(size=size, image_mean=options["PIXEL_MEANS_BGR"][::-1])


def same_order(ours: torch.Tensor, expected: np.ndarray) -> torch.Tensor:
    """Rows of ours, each the one nearest to the expected box: rounding may swap two proposals of like score."""
    distances = torch.cdist(ours.double(), torch.from_numpy(expected).double())
    rows, columns = linear_sum_assignment(distances.numpy())
    return torch.from_numpy(rows[np.argsort(columns)])


@torch.no_grad()
def check_detector(case: GoldenCase, model, inputs) -> Checks:
    """Every stored array between the photo and the boxes of all proposals."""
    checks = Checks(case.arrays("outputs_detector_rpn") | case.arrays("outputs_detector_head"))
    pixel_values, scale = inputs["pixel_values"], inputs["image_scales"][0]
    checks.check("blob", pixel_values[0].flip(0).permute(1, 2, 0))  # RGB (3, H, W) -> BGR (H, W, 3)
    size = torch.tensor(pixel_values.shape[-2:])
    checks.check("im_info", torch.cat([size, scale[None]])[None])
    backbone = model.backbone(pixel_values, output_hidden_states=True)
    for name, maps in zip(("maxpool", "layer1", "layer2"), backbone.hidden_states, strict=False):
        checks.check(f"backbone/{name}", maps)
    features = model.get_image_features(**inputs)
    checks.check("net_conv", features.maps)
    checks.check("rpn_feat", torch.relu(model.rpn.convolution(features.maps)))
    logits, deltas = model.rpn(features.maps)
    checks.check("rpn_cls_score", logits.mT.flatten(-2))  # (1, h, w, A, 2) -> (1, h, w, 2A)
    checks.check("rpn_cls_prob", logits.softmax(-1).mT.flatten(-2))
    checks.check("rpn_bbox_pred", deltas.flatten(-2))  # (1, h, w, A, 4) -> (1, h, w, 4A)
    anchors = model.anchors(features.maps.shape[-2:], torch.device("cpu"))
    checks.check("anchors", anchors)
    decoded = decode_boxes(anchors, deltas.flatten(0, 3))
    limits = torch.cat([size.flip(0), size.flip(0)]) - 1
    checks.check("proposals_before_nms", decoded.clamp(min=0).minimum(limits))
    checks.check("proposal_scores_before_nms", logits.flatten(0, 3).softmax(-1)[:, 1])

    proposals = model.propose(features)
    if "rois" in checks.expected and len(proposals.boxes) == len(checks.expected["rois"]):
        order = same_order(proposals.boxes, checks.expected["rois"][:, 1:])
        proposals = replace(proposals, boxes=proposals.boxes[order], scores=proposals.scores[order])
    boxes = proposals.boxes
    checks.check("rois", torch.nn.functional.pad(boxes, (1, 0)))
    checks.check("roi_scores", proposals.scores)
    crops = model.crop(features.maps, boxes, proposals.image_index)
    checks.check("pool5", crops)
    checks.check("pool5_mean", crops.mean((2, 3)))
    head = model.head(crops)
    checks.check("spatial_fc7", head)
    checks.check("fc7_mean", head.mean((2, 3)))
    _, deltas = model.head.predict(head)
    std = torch.tensor(model.config.box_std)
    checks.check("bbox_pred_denormalised", (deltas * std).flatten(1))
    checks.check("pred_boxes_unclipped", decode_boxes((boxes / scale)[:, None], deltas * std).flatten(1))
    scored = model.score(features, proposals)
    checks.check("cls_score", scored.logits)
    checks.check("cls_prob", scored.logits.softmax(-1))
    checks.check("pred_boxes", exclusive_to_inclusive(scored.boxes).flatten(1))
    for key, part, values in stored(checks.expected, "mask_prob"):
        ours = model.mask_branch.mask_logits(torch.relu(model.mask_branch.upsampling(head[part]))).sigmoid()
        checks.compare(key, ours, values)
    return checks


def to_xywh(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)


@torch.no_grad()
def check_pipeline(case: GoldenCase, detector, inputs) -> Checks:
    """Detections, masks, features and the answer to the case's expression, through the public model."""
    checks = Checks(case.arrays("outputs_pipeline"))
    expected = checks.expected
    found = detector(**inputs, at_least_one=True)
    size = tuple(inputs["original_sizes"][0].tolist())
    checks.check("det_boxes_xywh", to_xywh(found.pred_boxes))
    checks.check("det_scores", found.scores)
    checks.check("det_class_index", found.class_labels + 1, EXACT)
    checks.check("det_category_id", torch.tensor(COCO_IDS)[found.class_labels], EXACT)
    checks.check("mask_prob_14x14", found.mask_probabilities)
    width = int(expected["masks_shape"][-1])
    masks = np.unpackbits(expected["masks_packedbits"], axis=-1)[..., :width].astype(bool)
    pasted = paste_masks(found.mask_probabilities, found.pred_boxes, size, interpolation="paper")
    checks.share("masks_packedbits", pasted.numpy(), masks, MASK_TOLERANCE, "share of pixels")
    checks.check("masks_shape", torch.tensor(pasted.shape), EXACT)
    for key in expected:
        if lowered := re.fullmatch(r"lowered\(conf_thresh=([\d.]+)\)/(\w+)", key):
            few = detector(**inputs, at_least_one=True, score_threshold=float(lowered[1]))
            ours = to_xywh(few.pred_boxes) if lowered[2] == "det_boxes_xywh" else few.class_labels + 1
            checks.compare(key, ours, expected[key])

    matching = load_matching(case.checkpoint("tensors_matching"))
    tokenizer = tokenizer_from_infos(case.config, matching.config)
    checks.check("labels", torch.tensor([tokenizer(case.config["expression"])["input_ids"]]), EXACT)
    model = MAttNetForReferringSegmentation.from_parts(detector, matching)
    outputs = model(**inputs, input_ids=torch.from_numpy(expected["labels"]), output_attentions=True)
    features = model.get_image_features(**inputs)
    regions, boxes = features.regions, features.regions.boxes
    num_regions, num_neighbors = len(boxes), model.config.num_neighbors
    same = neighbor_rows(regions, num_neighbors, "same")
    checks.check("Feats/lfeats", location_features(boxes, inputs["original_sizes"]))
    checks.check("Feats/dif_lfeats", relative_locations(boxes, same).flatten(1))
    contexts = neighbor_rows(regions, num_neighbors, "different_then_same")
    checks.check("Feats/cxt_lfeats", relative_locations(boxes, contexts))
    checks.check("cxt_det_ids", contexts, EXACT)
    checks.check("Feats/pool5", found.crops)
    checks.check("Feats/fc7", found.head_features)
    means = found.head_features.mean((2, 3))
    checks.check("Feats/fc7_mean", means)
    checks.check("Feats/cxt_fc7", means[contexts.clamp(min=0)] * (contexts >= 0)[..., None])
    explanation = outputs.explanation
    checks.check("match/scores", outputs.region_scores[0])
    for column, name in enumerate(("sub", "loc", "rel")):
        checks.check(f"match/{name}_score", explanation.module_scores[0, :, column, None])
        checks.check(f"match/{name}_attn", explanation.word_attentions[:, column].expand(num_regions, -1))
    checks.check("match/weights", explanation.module_weights.expand(num_regions, -1))
    language = []
    embedding = model.matching.visual["relationship"].language_embedding
    handle = embedding.register_forward_hook(lambda module, args, output: language.append(output.flatten()))
    text = model.get_text_features(torch.from_numpy(expected["labels"]))
    matches = model.matching.match(regions, features.matching, text, output_attentions=True)
    handle.remove()
    checks.check("match/rel_cossim_unmasked", features.matching.relationship @ language[0])
    for key, _, values in stored(expected, "match/rel_ixs"):
        # of several paddings, which all score 0, any one is as good; their ids are -1
        ids = np.take_along_axis(expected["cxt_det_ids"], values[:, None], 1)[:, 0]
        checks.compare(f"{key} (ids)", matches.neighbors[0], ids, EXACT)
    checks.check("match/sub_grid_attn", matches.grid_attention[0].flatten(1))
    checks.check("match/att_scores", matches.attribute_logits[0])
    entry = case.manifest["pipeline_entry"]
    chosen = int(explanation.chosen[0])
    checks.compare("entry/pred_det_id", np.array(chosen), np.array(entry["pred_det_id"]), EXACT)
    checks.compare("entry/pred_box", to_xywh(outputs.pred_boxes)[0], np.array(entry["pred_box"]))
    checks.compare("entry/sub_grid_attn", explanation.grid_attention[0].flatten(), entry["sub_grid_attn"])
    drawn = paste_masks(outputs.region_masks, outputs.pred_boxes, size, interpolation="paper")[0].numpy()
    checks.share("entry/mask", drawn, masks[chosen], MASK_TOLERANCE, "share of pixels")
    return checks


def run(case: GoldenCase) -> Checks:
    if not (case.folder / "outputs_pipeline.npz").is_file():
        return Checks()
    detector, processor = load_detector(case)
    image = np.ascontiguousarray(case.inputs["image_bgr"][..., ::-1])
    inputs = dict(processor(image))
    checks = check_detector(case, detector, inputs)
    checks += check_pipeline(case, detector, inputs)
    return checks
