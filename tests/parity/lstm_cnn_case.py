"""Golden cases of Hu et al.: segmentation (low and high resolution) and the region classifier."""

from functools import partial

import torch

from hf_refseg.layers.spatial_coordinates import box_coordinates
from hf_refseg.models.lstm_cnn import convert_lstm_cnn

from .golden_case import Checks, GoldenCase, nhwc, to_pixel_values
from .training_step import check_training_step


def watch(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Intermediates of the next forward."""
    seen = {}

    def remember(name):
        return lambda module, args, output: seen.__setitem__(name, output.detach().clone())

    stages = model.backbone.stages
    stages[0].convolutions[1].register_forward_hook(remember("conv1_2"))
    stages[2].convolutions[2].register_forward_hook(remember("conv3_3"))
    stages[4].register_forward_hook(remember("pool5"))
    model.backbone.fc6.register_forward_hook(remember("fc6"))
    model.backbone.fc7.register_forward_hook(remember("fc7"))
    model.visual_projection.register_forward_hook(remember("fc8"))
    model.visual_fusion.register_forward_pre_hook(lambda module, args: seen.__setitem__("visual", args[0].clone()))
    model.language_fusion.register_forward_pre_hook(lambda module, args: seen.__setitem__("words", args[0].clone()))
    model.classifier.register_forward_pre_hook(lambda module, args: seen.__setitem__("hidden", args[0].clone()))
    return seen


def fused_features(seen: dict[str, torch.Tensor], visual_size: int) -> torch.Tensor:
    """The original's classifier input [language, visual, position], (N, h, w, 2008)."""
    visual = nhwc(seen["visual"])
    batch, height, width, _ = visual.shape
    words = seen["words"][:, None, None].expand(batch, height, width, -1)  # (N, L) -> (N, h, w, L)
    return torch.cat([words, visual[..., :visual_size], visual[..., visual_size:]], -1)


def run(case: GoldenCase) -> Checks:
    checks, is_region = Checks(case.outputs), case.manifest["variant"] == "det"
    arrays = case.checkpoint()
    model = convert_lstm_cnn.load_original(arrays)
    sources = convert_lstm_cnn.hu_sources(model.config, *convert_lstm_cnn.hu_lstm_names(arrays))
    del arrays
    images = case.inputs["crops_uint8_rgb" if is_region else "images_uint8_rgb"]
    inputs = {
        "pixel_values": to_pixel_values(images, case.config["channel_mean_rgb"]),
        "input_ids": torch.from_numpy(case.inputs["text_seq"]).long().T,  # (T, N) -> (N, T)
    }
    if is_region:
        width, height = case.inputs["imsize_wh"].tolist()
        # The original's boxes end at their last pixel, ours behind it.
        inputs["crop_boxes"] = torch.from_numpy(case.inputs["boxes"]) + torch.tensor([0, 0, 1, 1])
        inputs["original_sizes"] = torch.tensor([[height, width]] * len(images))
        labels = torch.from_numpy(case.inputs["label"])
        ours = box_coordinates(inputs["crop_boxes"].double(), inputs["original_sizes"])
        checks.compare("spatial", ours, case.inputs["spatial"])
    else:
        labels = torch.from_numpy(case.inputs["label_fine"][..., 0]).float()

    seen = watch(model)
    with torch.no_grad():
        outputs = model(**inputs)
    features = fused_features(seen, model.config.visual_size)
    if is_region:
        checks.check("fc8", seen["fc8"].flatten(1))
        checks.check("fc7", seen["fc7"].flatten(1))
        checks.check("pool5_s", nhwc(seen["pool5"])[..., ::8])
        checks.check("feat_all", features.flatten(1))
        checks.check("mlp_l1", seen["hidden"].flatten(1))
        checks.check("scores", outputs.scores[:, None])
    else:
        checks.check("fc8", nhwc(seen["fc8"])[..., ::4])
        checks.check("fc7_s", nhwc(seen["fc7"])[..., ::16])
        checks.check("fc6_s", nhwc(seen["fc6"])[..., ::16])
        checks.check("pool5_s", nhwc(seen["pool5"])[..., ::8])
        checks.check("conv3_3_s", nhwc(seen["conv3_3"])[:, ::8, ::8, ::16])
        checks.check("conv1_2_s", nhwc(seen["conv1_2"])[:, ::16, ::16, ::8])
        checks.check("feat_all_s", features[..., ::7])
        checks.check("feat_all_at_0_0", features[:, 0, 0])
        checks.check("mlp_l1", nhwc(seen["hidden"])[..., ::5])
        checks.check("lowres_scores", outputs.grid_logits[..., None])
        scores = outputs.logits[..., None]
        if "scores" in checks.expected and checks.expected["scores"].shape != scores.shape:
            scores = scores[:, ::4, ::4]  # the real 512x512 size is stored at every fourth pixel
        checks.check("scores", scores)

    step = case.manifest.get("train_step")
    if step:
        if (model.config.foreground_weight, model.config.background_weight) != (
            step["pos_loss_mult"],
            step["neg_loss_mult"],
        ):
            raise ValueError("the converted configuration does not carry the loss weights of its stage")
        name = "scores" if is_region else "lowres_scores"

        def compute():
            outputs = model(**inputs, labels=labels)
            predicted = outputs.scores[:, None] if is_region else outputs.grid_logits[..., None]
            return outputs.loss, predicted

        optimizer = partial(torch.optim.SGD, lr=step["lr"], momentum=step["momentum"])
        check_training_step(checks, case, model, sources, compute, optimizer, f"{name}_after_1_momentum_step")
    return checks
