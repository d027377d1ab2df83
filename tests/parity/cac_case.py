"""Golden cases of CAC: every array from the photo to the answer, the captioner, and the losses of a training step."""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch

from hf_refseg.layers.image_geometry import exclusive_to_inclusive
from hf_refseg.layers.nearest_resize import resize_nearest
from hf_refseg.layers.regions import Regions
from hf_refseg.models.cac.captioner import caption_words
from hf_refseg.models.cac.convert_cac import cac_sources, load_original
from hf_refseg.models.cac.modeling_cac import CacForReferringSegmentation
from hf_refseg.models.cac.processing_cac import CacProcessor
from hf_refseg.models.mask_rcnn import modeling_mask_rcnn, training_targets
from hf_refseg.models.mask_rcnn.boxes import clip_boxes, decode_boxes, encode_boxes, overlaps
from hf_refseg.models.mask_rcnn.convert_mask_rcnn import UNUSED
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.training_targets import SampledRegions, crop_masks
from hf_refseg.processing.mask_pasting import paste_bytes, paste_masks
from hf_refseg.processing.tokenization import tokenizer_from_sentences

from .golden_case import EXACT, Checks, GoldenCase, nhwc
from .mattnet_pipeline_case import MASK_TOLERANCE, same_order

TOLERANCE_OF_LOSSES = 1e-5
TOLERANCE_OF_GRADIENTS = 1e-3
# Below this a gradient is analytically zero (the shift of a softmax), and its stored norm is rounding.
ZERO_GRADIENT = 1e-7
LOSSES = {
    "class": "cross_entropy",
    "box": "box",
    "rpn_class": "rpn_cross_entropy",
    "rpn_box": "rpn_box",
    "mask": "mask",
    "response": "response",
    "caption": "caption",
}


def load_model(case: GoldenCase) -> CacForReferringSegmentation:
    """The converted model with the detector's settings of the case, without dropout."""
    model, given = load_original(case.checkpoint()), case.config
    config = model.detector.config
    config.anchor_scales, config.anchor_ratios = given["anchor_scales"], given["anchor_ratios"]
    config.pre_nms_top_n, config.post_nms_top_n = given["test_pre_nms"], given["test_post_nms"]
    config.train_pre_nms_top_n, config.train_post_nms_top_n = given["train_pre_nms"], given["train_post_nms"]
    config.rpn_nms_threshold = given["rpn_nms"]
    model.config.caption_loss_weight = given["cap_loss_weight"]
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def prepare(case: GoldenCase) -> dict:
    """What the public processor makes of the case's photo and object, and the case's words."""
    given = case.config
    size = {"shortest_edge": given["test_scale"], "longest_edge": 1000}
    image_processor = MaskRcnnImageProcessor(
        size=size, image_mean=given["pixel_means_bgr"][::-1], interpolation="paper"
    )
    processor = CacProcessor(image_processor, tokenizer_from_sentences(["no vocabulary is stored"]))
    x, y, width, height = case.inputs["gt_box_xywh_orig"].tolist()
    inputs = processor(
        np.ascontiguousarray(case.inputs["image_bgr"][..., ::-1]),
        "vocabulary",
        segmentation_maps=case.inputs["gt_mask_orig"],
        boxes=[[x, y, x + width, y + height]],
        class_labels=[int(case.inputs["gt_class"]) - 1],
    )
    words = torch.from_numpy(case.inputs["labels"])
    return dict(inputs) | {"input_ids": words, "attention_mask": words != 0}


def without_targets(inputs: dict) -> dict:
    return {name: value for name, value in inputs.items() if "labels" not in name}


@torch.no_grad()
def look(model, inputs: dict):
    """The photo's features, what the filters find in them, and the features that come of it."""
    images, index = model.get_image_features(**inputs).images, torch.tensor([0])
    seen = model.respond(images, model.get_text_features(**inputs), index)
    return images, seen, model.modulate(images, seen.fused_response, index)


@torch.no_grad()
def check_words_and_maps(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """Input, language, backbone, filters, responses and modulation."""
    pixel_values, scale = inputs["pixel_values"], inputs["image_scales"]
    checks.compare("blob", nhwc(pixel_values.flip(1)), case.inputs["blob"])
    size = torch.tensor(pixel_values.shape[-2:])
    checks.compare("im_info", torch.cat([size, scale])[None], case.inputs["im_info"])
    checks.compare("gt_mask_scaled", inputs["labels"], case.inputs["gt_mask_scaled"], EXACT)
    box = torch.cat([exclusive_to_inclusive(inputs["box_labels"]), inputs["class_labels"][:, None] + 1], 1)
    checks.compare("gt_box_scaled", box, case.inputs["gt_box_scaled"])
    context, hidden, embedded = model.language(inputs["input_ids"], inputs["attention_mask"])
    length = int(inputs["attention_mask"].sum())
    checks.check("lang_embedded", embedded[:, :length])
    checks.check("lang_context", context[:, :length])
    checks.check("lang_hidden", hidden)
    text = model.get_text_features(**inputs)
    checks.check("dynamic_filters", text.filters[0])
    checks.check("response_filter", text.weights[0])
    stages = model.detector.backbone(pixel_values, output_hidden_states=True).hidden_states
    checks.check("maxpool_s8", stages[0][:, ::8, ::2, ::2])
    checks.check("layer1_s16", stages[1][:, ::16, ::2, ::2])
    checks.check("layer2_s16", stages[2][:, ::16])
    images, seen, modulated = look(model, inputs)
    checks.check("response_each", seen.responses[0])
    checks.check("response", seen.fused_response[0])
    checks.check("response_sigmoid", seen.fused_response[0].sigmoid())
    checks.check("net_conv_before", images.maps)
    checks.check("net_conv", modulated.maps)


@torch.no_grad()
def check_detector(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """What the detector does with the modulated map, step by step."""
    detector = model.detector
    _, _, modulated = look(model, inputs)
    checks.check("rpn_conv_relu_s8", torch.relu(detector.rpn.convolution(modulated.maps))[:, ::8])
    logits, deltas = detector.rpn(modulated.maps)
    checks.check("rpn_cls_score", logits.permute(0, 4, 3, 1, 2).flatten(1, 2))  # (1, h, w, A, 2) -> (1, 2A, h, w)
    checks.check("rpn_bbox_pred", deltas.permute(0, 3, 4, 1, 2).flatten(1, 2))  # (1, h, w, A, 4) -> (1, 4A, h, w)
    checks.check("rpn_cls_prob_nhwc", logits.softmax(-1).mT.flatten(-2))
    anchors = detector.anchors(modulated.maps.shape[-2:], torch.device("cpu"))
    checks.check("anchors", anchors)
    input_size = torch.tensor(modulated.geometry.input_sizes[0])
    checks.check("proposals_all_clipped", clip_boxes(decode_boxes(anchors, deltas.flatten(0, 3)), input_size))
    proposals = detector.propose(modulated)
    if "rois" in checks.expected and len(proposals.boxes) == len(checks.expected["rois"]):
        order = same_order(proposals.boxes, checks.expected["rois"][:, 1:])  # rounding may swap two of like score
        proposals = replace(proposals, boxes=proposals.boxes[order], scores=proposals.scores[order])
    checks.check("rois", torch.nn.functional.pad(proposals.boxes, (1, 0)))
    checks.check("roi_scores", proposals.scores)
    crops = detector.crop(modulated.maps, proposals.boxes, proposals.image_index)
    head = detector.head(crops)
    _, deltas = detector.head.predict(head)
    std = torch.tensor(detector.config.box_std)
    checks.check("bbox_pred_raw", deltas.flatten(1))
    checks.check("bbox_pred_destd_first8rows", (deltas * std).flatten(1)[:8])
    scored = detector.score(modulated, proposals)
    checks.check("cls_score", scored.logits)
    checks.check("cls_prob", scored.logits.softmax(-1))
    checks.check("pred_boxes_orig", exclusive_to_inclusive(scored.boxes).flatten(1))
    probabilities = scored.probabilities()
    category = probabilities.flatten().argmax() % probabilities.shape[1] + 1
    checks.check("pred_class", category, EXACT)
    checks.check("fc7_s8", head.mean((2, 3))[:, ::8])
    if "roi_sel" in checks.expected:
        rows = torch.from_numpy(checks.expected["roi_sel"])
        checks.check("roi_sel", rows)
        checks.check("pool5_sel_s8", crops[rows][:, ::8])
        checks.check("spatial_fc7_sel_s16", head[rows][:, ::16])
        branch = detector.mask_branch
        checks.check("mask_prob_sel", branch.mask_logits(torch.relu(branch.upsampling(head[rows]))).sigmoid())


@torch.no_grad()
def check_answer(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """The answer of the public forward, pasted as the paper does, and its overlap with the truth."""
    outputs = model(**without_targets(inputs))
    height, width = inputs["original_sizes"][0].tolist()
    modulated = look(model, inputs)[2]
    chosen = model.detector.propose(modulated).boxes[outputs.chosen[0]]
    checks.compare("pred_roi (its box)", chosen, checks.expected["rois"][checks.expected["pred_roi"], 1:])
    checks.check("pred_score", outputs.scores[0])
    box = exclusive_to_inclusive(outputs.pred_boxes)
    checks.check("pred_box_orig", box[0])
    checks.check("final_mask_prob14", outputs.region_masks[0])
    crops, _ = model.detector.describe(modulated, Regions(outputs.pred_boxes, (1,)))
    checks.check("final_pool5_s8", crops[:, ::8])
    drawn = paste_bytes(outputs.region_masks[0], outputs.pred_boxes[0], (height, width))
    beyond = "share off by more than a gray level, which rounding may cost"
    checks.share("final_mask_uint8", drawn, checks.expected["final_mask_uint8"], EXACT, beyond, far=1)
    mask = paste_masks(outputs.region_masks, outputs.pred_boxes, (height, width), interpolation="paper")[0]
    checks.share("final_mask", mask, checks.expected["final_mask"], MASK_TOLERANCE, "share of pixels")
    x, y, w, h = case.inputs["gt_box_xywh_orig"].tolist()
    checks.check("box_iou", overlaps(box, torch.tensor([[x, y, x + w - 1, y + h - 1]]))[0, 0])
    truth = resize_nearest(inputs["labels"][0] > 0, (height, width))
    checks.check("gt_mask_eval", truth, EXACT)
    checks.check("seg_I", (mask & truth).sum(), 2 * MASK_TOLERANCE)
    checks.check("seg_U", (mask | truth).sum(), 2 * MASK_TOLERANCE)


@torch.no_grad()
def check_captioner(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """What the captioner reads, how likely it finds the expression, and what it would say by itself."""
    images, seen, modulated = look(model, inputs)
    before, after = model.head_maps(images)[0], model.head_maps(modulated)[0]
    checks.check("feats_before_s32", before[None, ::32])
    checks.check("feats_after_s32", after[None, ::32])
    checks.check("fc_feats_s8", torch.cat([before.mean((1, 2)), after.mean((1, 2))])[None, ::8])
    read = model.caption_features(images, modulated, torch.tensor([0]), seen.fused_response)  # (1, G, 2D)
    grid = model.config.caption_grid_size
    checks.check("att_feats_s32", read.unflatten(1, (grid, grid))[..., ::32])
    queries, attended = [], []
    attend = model.captioner.attend

    def watched(cells, cell_attention, hidden):
        queries.append(hidden)
        attended.append(attend(cells, cell_attention, hidden))
        return attended[-1]

    length = int(inputs["attention_mask"].sum())
    words = inputs["input_ids"][:, :length], inputs["attention_mask"][:, :length]
    with mock.patch.object(model.captioner, "attend", watched):
        checks.check("logprobs", model.captioner(read, caption_words(*words, model.config.pad_token_id)[0]))
    checks.check("attention_query_h", torch.cat(queries))
    checks.check("attention_out", torch.cat(attended))
    if "greedy_seq" in checks.expected:
        longest = checks.expected["greedy_seq"].shape[1]
        captions = model.generate_caption(**without_targets(inputs), max_length=longest)
        checks.check("greedy_seq", captions.sequences, EXACT)
        checks.check("greedy_logprobs", captions.log_probs)


def check_targets(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """What the losses compare with, for the anchors and regions that the original drew."""
    expected, detector, mask = checks.expected, model.detector, inputs["labels"] > 0
    box = exclusive_to_inclusive(inputs["box_labels"])
    target = resize_nearest(mask[0], expected["response_target"].shape)
    checks.check("response_target", target, EXACT)
    states = anchor_states(case, expected)
    positive = states == 1
    anchors = detector.anchors(target.shape, torch.device("cpu"))
    targets = encode_boxes(anchors, box.expand(len(states), 4)).where(positive[:, None], 0)

    def as_stored(values):  # (h w A, 4) -> (1, h, w, 4 A)
        return values.expand(len(states), 4).reshape(1, *target.shape, -1)

    counting = expected["rpn_bbox_targets"] * expected["rpn_bbox_inside_weights"]
    checks.compare("rpn_bbox_targets (those that count)", as_stored(targets), counting)
    checks.check("rpn_bbox_inside_weights", as_stored(positive[:, None].float()))
    sampled = states >= 0
    checks.check("rpn_bbox_outside_weights", as_stored(sampled[:, None] / sampled.sum()))
    rois, labels = torch.from_numpy(expected["rois"][:, 1:]), torch.from_numpy(expected["labels"])
    best = overlaps(rois, box)[:, 0]
    foreground = int((labels > 0).sum())
    category = inputs["class_labels"] + 1
    checks.check("labels", torch.where(best >= detector.config.roi_positive_iou, category, 0), EXACT)
    deltas = encode_boxes(rois[:foreground], box.expand(foreground, 4)) / torch.tensor(detector.config.box_std)
    checks.check("bbox_targets_cls", torch.nn.functional.pad(deltas, (0, 0, 0, len(rois) - foreground)))
    instances = torch.zeros(foreground, dtype=torch.long)
    size = expected["mask_targets"].shape[-1]
    masks = crop_masks(mask, instances, rois[:foreground], size)
    checks.check("mask_targets", masks, EXACT)


def anchor_states(case: GoldenCase, expected: dict[str, np.ndarray]) -> torch.Tensor:
    """(h w A,) 1 for the positive anchors that were drawn, 0 for the negative ones, -1 for the others."""
    anchors = len(case.config["anchor_scales"]) * len(case.config["anchor_ratios"])
    states = torch.from_numpy(expected["rpn_labels"]).view(anchors, *expected["response_target"].shape)
    return states.permute(1, 2, 0).flatten()  # (A, h, w) -> (h w A,)


@contextmanager
def stored_samples(case: GoldenCase, checks: Checks):
    """The training step inside draws the anchors and regions that the original drew."""
    expected = checks.expected
    states = anchor_states(case, expected)
    drawn = iter((kind, (states == state).nonzero()[:, 0]) for kind, state in (("positive", 1), ("negative", 0)))

    def pick(candidates: torch.Tensor, number: int) -> torch.Tensor:
        kind, rows = next(drawn)
        strangers = np.setdiff1d(rows, candidates)
        checks.compare(f"rpn_labels ({kind} ones that are no candidates)", np.array(len(strangers)), np.array(0), EXACT)
        wanted = np.array(min(number, len(candidates)))
        checks.compare(f"rpn_labels (number of {kind} ones)", wanted, np.array(len(rows)), EXACT)
        return rows

    def sample_regions(_, proposals, boxes, class_labels) -> SampledRegions:
        ordered = proposals
        if len(proposals) == len(expected["proposals_train"]):
            ordered = proposals[same_order(proposals, expected["proposals_train"][:, 1:])]
        checks.check("proposals_train", torch.nn.functional.pad(ordered, (1, 0)))
        rois, labels = torch.from_numpy(expected["rois"][:, 1:]), torch.from_numpy(expected["labels"])
        nearest = torch.cdist(rois.double(), torch.cat([boxes, proposals]).double()).min(1).values
        checks.compare("rois (pixels to a proposal)", nearest, np.zeros(len(rois)), 2e-3)
        foreground = int((labels > 0).sum())
        return SampledRegions(rois, labels, boxes.expand(foreground, 4), torch.zeros(foreground, dtype=torch.long))

    with (
        mock.patch.object(training_targets, "pick", pick),
        mock.patch.object(modeling_mask_rcnn, "sample_regions", sample_regions),
    ):
        yield


def check_training(case: GoldenCase, model, inputs: dict, checks: Checks) -> None:
    """One step on the stored samples: predictions, losses, and the gradients of all, of caption and of response."""
    expected, detector = checks.expected, model.detector
    model.train()
    check_targets(case, model, inputs, checks)
    checks.check("proposals_train_scores", detector.propose(look(model, inputs)[2]).scores)
    for name, module in (("cls_score", detector.head.class_logits), ("mask_score_gt_cls", detector.mask_branch)):
        module.register_forward_hook(lambda module, args, output, name=name: checks.check(name, output))
    with stored_samples(case, checks):
        losses = model(**inputs).losses
    for ours, theirs in LOSSES.items():
        checks.check(f"loss_{theirs}", losses[ours], tolerance=TOLERANCE_OF_LOSSES)
    total = sum(losses.values())
    checks.check("loss_total_loss", total, tolerance=TOLERANCE_OF_LOSSES)
    tensors = dict(model.state_dict(keep_vars=True))
    ours = {source.names[0]: tensors[name] for name, source in cac_sources(model.config).items()}
    names = [name for name in expected["grad_names"].tolist() if name not in UNUSED]
    checks.compare("grad_names (unknown ones)", np.array(len(set(names) - ours.keys())), np.array(0), EXACT)
    for kind, loss in (("response", losses["response"]), ("caption", losses["caption"]), ("total", total)):
        model.zero_grad()
        loss.backward(retain_graph=kind != "total")
        norms = dict(zip(expected["grad_names"].tolist(), expected[f"grad_norm_{kind}"].tolist(), strict=True))
        for name in names:
            if norms[name] > ZERO_GRADIENT:
                norm = ours[name].grad.norm()
                checks.compare(f"grad_norm_{kind} ({name})", norm, norms[name], TOLERANCE_OF_GRADIENTS)
    for name in expected:
        if name.startswith("grad_total__"):
            gradient = ours[name.removeprefix("grad_total__")].grad.flatten()
            checks.check(name, gradient[:: max(1, gradient.numel() // 257)][:256])
    words, caption = (case.inputs[name][0] for name in ("labels", "cap_labels"))
    for embedding, rows in (("rnn_encoder.embedding", words[words != 0]), ("caption_model.embed.0", caption[:-1])):
        checks.check(f"grad_total_rows__{embedding}.weight", ours[f"{embedding}.weight"].grad[rows][:, :64])


def run(case: GoldenCase) -> Checks:
    arrays = {part: case.arrays(part) for part in ("outputs", "outputs_features", "outputs_caption", "outputs_train")}
    train = Checks(arrays.pop("outputs_train"))  # which calls other arrays by the same names
    checks = Checks({name: array for part in arrays.values() for name, array in part.items()})
    model, inputs = load_model(case), prepare(case)
    check_words_and_maps(case, model, inputs, checks)
    check_detector(case, model, inputs, checks)
    check_answer(case, model, inputs, checks)
    if arrays["outputs_caption"]:
        check_captioner(case, model, inputs, checks)
    if train.expected:
        check_training(case, model, inputs, train)
    checks += train
    return checks
