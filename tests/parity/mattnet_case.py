"""Golden cases of MAttNet: scores and intermediates of every module, geometry, and one training step."""

from contextlib import contextmanager

import numpy as np
import torch

from hf_refseg.layers.regions import Regions
from hf_refseg.losses import attribute_loss, attribute_weights, ranking_loss
from hf_refseg.models.mattnet.convert_mattnet import SHORT_NAMES, load_matching, matching_sources
from hf_refseg.models.mattnet.matching import MAttNetMatching
from hf_refseg.models.mattnet.region_geometry import location_features, neighbor_rows, relative_locations

from . import mattnet_pipeline_case
from .golden_case import EXACT, TOLERANCE_AFTER_STEP, Checks, GoldenCase

MODULE_COLUMN = {short: column for column, short in enumerate(SHORT_NAMES.values())}
# Below this a gradient is analytically zero (a bias before a batch normalization, the shift of a softmax), and its
# stored norm is rounding (manifest's note).
ZERO_GRADIENT = 1e-5


def region_inputs(case: GoldenCase, ann_ids: np.ndarray) -> dict:
    """Arguments of `encode_regions` for an image with these of the case's objects, in this order, as a caller's."""
    rows = [case.inputs["ann_ids"].tolist().index(ann_id) for ann_id in ann_ids.tolist()]
    corners, sides = np.split(case.inputs["boxes_xywh"][rows], 2, axis=1)
    image_sizes = torch.from_numpy(case.inputs["image_hw"])[None]
    boxes, labels = np.concatenate([corners, corners + sides], 1), case.inputs["categories"][rows]
    return {
        "regions": Regions.of([boxes], [labels], image_sizes=image_sizes),
        "crops": torch.from_numpy(case.generated_input("pool5")[rows]),
        "head_maps": torch.from_numpy(case.generated_input("fc7")[rows]),
        "image_sizes": image_sizes,
    }


def context_kinds(case: GoldenCase) -> str:
    """Which neighbors the relationship module sees."""
    return "different_then_same" if case.config["matching_opt"]["with_st"] else "different"


def to_ids(index: torch.Tensor, ann_ids: np.ndarray) -> np.ndarray:
    """Indices of regions to ids of annotations, -1 staying -1."""
    return np.append(ann_ids, -1)[index.numpy()]


def chosen_ids(context_ids: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Ids of the contexts the original chose; its index among several paddings means nothing."""
    return np.take_along_axis(context_ids, column[:, None], 1)[:, 0]


@contextmanager
def watched(matching: MAttNetMatching):
    """Intermediates of the forwards inside, by the goldens' names: the last that each module made."""
    seen, handles = {}, []

    def remember(name, pick=lambda output: output):
        return lambda module, args, output: seen.__setitem__(name, pick(output).detach())

    def watch(module, *hook):
        handles.append(module.register_forward_hook(remember(*hook)))

    for column, name in enumerate(("context", "hidden", "embedded")):
        watch(matching.language.encoder, name, lambda output, column=column: output[column])
    for module, short in SHORT_NAMES.items():
        watch(matching.language.phrases[module], f"{short}_phrase_emb", lambda output: output[1])
        watch(matching.visual[module].visual_embedding.output_norm, f"{short}_vis_emb")
        watch(matching.visual[module].language_embedding.output_norm, f"{short}_lang_emb")
        handles.append(
            matching.visual[module].visual_embedding.register_forward_pre_hook(
                lambda module, args, short=short: seen.__setitem__(f"{short}_feats", args[0].detach())
            )
        )
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def check_geometry(case: GoldenCase, checks: Checks) -> None:
    """Locations, neighbors and offsets of the loader, of all objects and of the image with few."""
    num_contexts = case.config["matching_opt"]["num_cxt"]
    for prefix, ann_ids in (("loader", case.inputs["ann_ids"]), ("few", case.inputs.get("few_ann_ids"))):
        if ann_ids is None:
            continue
        inputs = region_inputs(case, ann_ids)
        regions, boxes = inputs["regions"], inputs["regions"].boxes
        same = neighbor_rows(regions, num_contexts, "same")
        contexts = neighbor_rows(regions, num_contexts, context_kinds(case))
        checks.check(f"{prefix}/lfeats", location_features(boxes, inputs["image_sizes"]))
        checks.check(f"{prefix}/dif_lfeats", relative_locations(boxes, same).flatten(1))
        checks.check(f"{prefix}/cxt_lfeats", relative_locations(boxes, contexts))
        stored = {f"{prefix}/cxt_ann_ids": contexts}
        for name, kinds in ((f"{prefix}/st_ids", "same"), (f"{prefix}/dt_ids", "different")):
            if name in case.outputs:
                stored[name] = neighbor_rows(regions, case.outputs[name].shape[1], kinds)
        for name, index in stored.items():
            if name in case.outputs:
                checks.compare(name, to_ids(index, ann_ids), case.outputs[name], EXACT)


@torch.no_grad()
def check_sentence(
    case: GoldenCase, matching: MAttNetMatching, checks: Checks, prefix: str, ann_ids: np.ndarray, labels: np.ndarray
) -> None:
    """One expression on every object of an image, as `match` answers it."""
    with watched(matching) as seen:
        inputs = region_inputs(case, ann_ids)
        features = matching.encode_regions(**inputs)
        text = matching.encode_words(torch.from_numpy(labels)[None])
        matches = matching.match(inputs["regions"], features, text, output_attentions=True)
    num_regions = len(ann_ids)

    def per_region(values):  # (1, ...) -> (R, ...), as the original repeats its expression
        return values.expand(num_regions, *values.shape[1:])

    checks.check(f"{prefix}/scores", matches.scores[0])
    checks.check(f"{prefix}/weights", per_region(text.module_weights))
    for short, column in MODULE_COLUMN.items():
        checks.check(f"{prefix}/{short}_attn", per_region(text.word_attentions[:, column]))
        checks.check(f"{prefix}/{short}_score", matches.module_scores[0, :, column, None])
        checks.check(f"{prefix}/{short}_phrase_emb", per_region(seen[f"{short}_phrase_emb"]))
        checks.check(f"{prefix}/{short}_lang_emb", per_region(seen[f"{short}_lang_emb"]))
    for name in ("context", "hidden", "embedded"):
        checks.check(f"{prefix}/{name}", per_region(seen[name]))
    for name in ("sub_feats", "sub_vis_emb"):
        checks.check(f"{prefix}/{name}", seen[name].view(num_regions, -1))
    for name in ("loc_feats", "rel_feats"):
        checks.check(f"{prefix}/{name}", seen[name])
    checks.check(f"{prefix}/rel_masks", features.neighbors >= 0)
    language = torch.nn.functional.normalize(seen["rel_lang_emb"].view(-1), dim=0)
    checks.check(f"{prefix}/rel_cossim_unmasked", features.relationship @ language)
    checks.check(f"{prefix}/sub_grid_attn", matches.grid_attention[0].flatten(1))
    if features.attribute_logits is not None:
        checks.check(f"{prefix}/att_scores", features.attribute_logits)
    if f"{prefix}/rel_ixs" in case.outputs:
        contexts = to_ids(features.neighbors, ann_ids)
        expected = chosen_ids(contexts, case.outputs[f"{prefix}/rel_ixs"])
        checks.compare(f"{prefix}/rel_ixs (ids)", to_ids(matches.neighbors[0], ann_ids), expected, EXACT)


@torch.no_grad()
def check_mixed(case: GoldenCase, matching: MAttNetMatching, checks: Checks) -> None:
    """Expressions of several lengths, each on one object: `match_pairs`, and the diagonal of `match`."""
    ann_ids, labels = case.inputs["ann_ids"], torch.from_numpy(case.inputs["mixed_labels"])
    inputs, num_pairs = region_inputs(case, ann_ids), len(labels)
    with watched(matching) as seen:
        text = matching.encode_words(labels)
        pairs = matching.match_pairs(**inputs, region_index=torch.arange(num_pairs), text=text)
    features = matching.encode_regions(**inputs)
    matches = matching.match(inputs["regions"], features, text, output_attentions=True)
    diagonal = torch.arange(num_pairs)
    checks.check("mixed/scores", pairs.scores)
    if "mixed/scores" in case.outputs:
        together = matches.scores[diagonal, diagonal]
        checks.compare("mixed/scores (all pairs)", together, case.outputs["mixed/scores"])
    checks.check("mixed/weights", text.module_weights)
    for short, column in MODULE_COLUMN.items():
        checks.check(f"mixed/{short}_attn", text.word_attentions[:, column])
        checks.check(f"mixed/{short}_score", pairs.module_scores[:, column, None])
        checks.check(f"mixed/{short}_phrase_emb", seen[f"{short}_phrase_emb"])
        checks.check(f"mixed/{short}_lang_emb", seen[f"{short}_lang_emb"].view(num_pairs, -1))
    for name in ("context", "hidden", "embedded", "loc_feats", "rel_feats"):
        checks.check(f"mixed/{name}", seen[name])
    for name in ("sub_feats", "sub_vis_emb"):
        checks.check(f"mixed/{name}", seen[name].view(num_pairs, -1))
    checks.check("mixed/rel_masks", features.neighbors[:num_pairs] >= 0)
    language = torch.nn.functional.normalize(seen["rel_lang_emb"].view(num_pairs, -1), dim=-1)
    checks.check("mixed/rel_cossim_unmasked", torch.einsum("pkd,pd->pk", features.relationship[:num_pairs], language))
    checks.check("mixed/sub_grid_attn", matches.grid_attention[diagonal, diagonal].flatten(1))
    checks.check("mixed/att_scores", pairs.attribute_logits)
    if "mixed/rel_ixs" in case.outputs:
        expected = chosen_ids(to_ids(features.neighbors, ann_ids)[:num_pairs], case.outputs["mixed/rel_ixs"])
        checks.compare("mixed/rel_ixs (ids)", to_ids(pairs.neighbors, ann_ids), expected, EXACT)


def check_training(case: GoldenCase, matching: MAttNetMatching, checks: Checks) -> None:
    """One step of training without dropout: scores, losses, gradients, and tensors after clamp and Adam."""
    options, stored = case.config["matching_opt"], case.inputs
    ann_ids = stored["ann_ids"]
    place = {ann_id: row for row, ann_id in enumerate(ann_ids.tolist())}
    right, wrong = (
        torch.tensor([place[ann_id] for ann_id in stored[f"train/{kind}_ann_ids"].tolist()]) for kind in ("pos", "neg")
    )
    labels, wrong_labels = (torch.from_numpy(stored[f"train/{kind}_labels"]) for kind in ("pos", "neg"))
    num_pairs = len(right)

    matching.train()
    for module in matching.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    region_index = torch.cat([right, wrong, right])
    text = matching.encode_words(torch.cat([labels, labels, wrong_labels]))
    matches = matching.match_pairs(**region_inputs(case, ann_ids), region_index=region_index, text=text)
    weights = attribute_weights(case.attribute_counts())
    rank = ranking_loss(matches.scores, options["margin"], options["visual_rank_weight"], options["lang_rank_weight"])
    attributes = attribute_loss(
        matches.attribute_logits[:num_pairs], torch.from_numpy(stored["train/att_labels"]), torch.tensor(weights)
    )
    loss = rank + options["att_weight"] * attributes
    loss.backward()

    checks.check("train/scores", matches.scores)
    checks.check("train/att_scores", matches.attribute_logits)
    checks.check("train/weights", text.module_weights)
    for short, column in MODULE_COLUMN.items():
        checks.check(f"train/{short}_attn", text.word_attentions[:, column])
    if "train/rel_ixs" in case.outputs:
        regions = region_inputs(case, ann_ids)["regions"]
        contexts = neighbor_rows(regions, options["num_cxt"], context_kinds(case))
        expected = chosen_ids(to_ids(contexts, ann_ids)[region_index], case.outputs["train/rel_ixs"])
        checks.compare("train/rel_ixs (ids)", to_ids(matches.neighbors, ann_ids), expected, EXACT)
    checks.check("train/loss_rank", rank)
    checks.check("train/loss_att", attributes)
    checks.check("train/loss", loss)
    checks.check("train/attribute_weights", np.array(weights))
    compare_step(case, matching, checks)


def compare_step(case: GoldenCase, matching: MAttNetMatching, checks: Checks) -> None:
    """Gradients before and after the clamp, and what Adam makes of the tensors."""
    options, train = case.config["matching_opt"], case.manifest["train"]
    tensors = dict(matching.state_dict(keep_vars=True))
    ours = {source.names[0]: tensors[name] for name, source in matching_sources(matching.config).items()}

    def compare_norms(stage: str):
        for name, expected in train[stage].items():
            if expected > ZERO_GRADIENT:
                checks.compare(f"train/{stage}/{name}", ours[name].grad.norm(), expected)

    compare_norms("grad_norm_before_clip")
    for name in case.outputs:
        if name.startswith("train/") and name.endswith(".grad"):
            gradient = ours[name.removeprefix("train/").removesuffix(".grad")].grad
            checks.check(name, gradient.view(case.outputs[name].shape))
    torch.nn.utils.clip_grad_value_(matching.parameters(), options["grad_clip"])
    compare_norms("grad_norm_after_clip")
    torch.optim.Adam(
        matching.parameters(),
        lr=options["learning_rate"],
        betas=(options["optim_alpha"], options["optim_beta"]),
        eps=options["optim_epsilon"],
    ).step()
    for name, expected in case.outputs.items():
        if name.startswith("train/after_step/"):
            tensor = ours[name.removeprefix("train/after_step/")]
            checks.check(name, tensor.view(expected.shape), tolerance=TOLERANCE_AFTER_STEP)


def run(case: GoldenCase) -> Checks:
    checks = Checks(case.outputs)
    matching = load_matching(
        case.checkpoint("tensors_matching"),
        grid_size=case.manifest["inputs_generated"]["pool5"]["shape"][-1],
        same_category_neighbors=bool(case.config["matching_opt"]["with_st"]),
    )
    inputs = case.inputs
    check_geometry(case, checks)
    check_sentence(case, matching, checks, "sent", inputs["ann_ids"], inputs["sent_labels"])
    check_mixed(case, matching, checks)
    for number, labels in enumerate(inputs.get("few_labels", ())):
        words = np.trim_zeros(labels, "b")
        check_sentence(case, matching, checks, f"few{number}", inputs["few_ann_ids"], words)
    if "extract_subj_feats0" in case.outputs:
        with torch.no_grad():
            features = matching.encode_regions(**region_inputs(case, inputs["ann_ids"]))
        checks.check("extract_subj_feats0", features.visual[0])
    if "train/scores" in case.outputs:
        check_training(case, matching, checks)
    checks += mattnet_pipeline_case.run(case)
    return checks
