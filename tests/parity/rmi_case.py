"""Golden cases of Liu et al.: R+RMI, D+RMI, R+LSTM and D+LSTM."""

from functools import partial

import torch

from hf_refseg.layers.tf1_resize import resize_bilinear_tf1
from hf_refseg.models.caffe_resnet.convert_caffe_resnet import backbone_scope
from hf_refseg.models.lstm_cnn import convert_lstm_cnn
from hf_refseg.models.rmi import convert_rmi
from hf_refseg.training.tensorflow_adam import TensorFlowAdam

from .golden_case import Checks, GoldenCase, nhwc, to_pixel_values
from .training_step import check_training_step


def watch(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Intermediates of the next forward, by the goldens' names."""
    seen = {}

    def remember(name):
        return lambda module, args, output: seen.__setitem__(name, output.detach().clone())

    stem = model.backbone.stem
    scale, shift = stem.normalization.scale_and_shift()
    # Ours folds the normalization into the convolution, so the raw convolution is read back out of the folded one.
    stem.register_forward_hook(
        lambda module, args, output: seen.__setitem__(
            "conv1_raw", (output - shift[:, None, None]) / scale[:, None, None]
        )
    )
    model.backbone.stages[0].register_forward_pre_hook(lambda module, args: seen.__setitem__("pool1", args[0].clone()))
    for stage, name in enumerate(("res2_2", "res3_3", "res4_22", "res5_2")):
        model.backbone.stages[stage].register_forward_hook(remember(name))
    model.visual_projection.register_forward_hook(remember("projection"))
    model.word_lstm.register_forward_hook(
        lambda module, args, output: seen.__setitem__("words", torch.cat([output[1], output[0]], -1))
    )
    return seen


def run(case: GoldenCase) -> Checks:
    checks, config = Checks(case.outputs), case.config
    arrays = case.checkpoint()
    is_rmi = config["model"] == "RMI_model"
    converter = convert_rmi if is_rmi else convert_lstm_cnn
    model = converter.load_original(arrays)
    scope = backbone_scope(arrays)
    del arrays
    blue, green, red = config["mean_bgr"]
    images = case.inputs["image_padded_uint8_rgb"]  # (H, W, 3): the original's batch of one, stored without that axis
    pixel_values = to_pixel_values(images.reshape(-1, *images.shape[-3:]), (red, green, blue))
    input_ids = torch.from_numpy(case.inputs["words"]).long()
    input_ids = input_ids.view(-1, input_ids.shape[-1])  # (T,) -> (1, T)
    labels = torch.from_numpy(case.inputs["mask"]).float()
    labels = labels.view(-1, *pixel_values.shape[-2:])  # (H, W) -> (1, H, W)
    inputs = {"pixel_values": pixel_values, "input_ids": input_ids}

    seen = watch(model)
    with torch.no_grad():
        outputs = model(**inputs, output_attentions=is_rmi)

    checks.check("conv1_raw_s8", nhwc(seen["conv1_raw"])[:, ::8, ::8, ::4])
    checks.check("conv1_raw_last_row_col", nhwc(seen["conv1_raw"])[:, -2:, -4:, :16])
    checks.check("pool1_s8", nhwc(seen["pool1"])[:, ::8, ::8, ::4])
    checks.check("pool1_last", nhwc(seen["pool1"])[:, -2:, -4:, :16])
    for name in ("res2_2", "res3_3", "res4_22", "res5_2"):
        checks.check(f"{name}_s", nhwc(seen[name])[:, ::8, ::8, ::16])
    projection = nhwc(seen["projection"])[:, ::4, ::4, ::8]
    if scope == "ResNet":
        checks.check("backbone_out_s", projection)
    else:
        checks.check("backbone_out_s", nhwc(seen["res5_2"])[:, ::4, ::4, ::8])
        checks.check("conv0_out_s", projection)

    size = tuple(outputs.logits.shape[-2:])
    if is_rmi:
        mean_state = resize_bilinear_tf1(outputs.explanation.word_maps[-1][:, None], size)[:, 0]
        checks.check("mult_state_s4", mean_state[:, ::4, ::4])
        with torch.no_grad():
            features, text = model.get_image_features(**inputs), model.get_text_features(**inputs)
            for step, (hidden, cell) in enumerate(model.multimodal_lstm.read(features.visual_gates, text)):
                if f"h_a_{step}_s" in checks.expected:
                    hidden, cell = (nhwc(state).flatten(0, 2) for state in (hidden, cell))  # (N, D, h, w) -> (Nhw, D)
                    checks.check(f"h_a_{step}_s", hidden[::37, ::10])
                    checks.check(f"state_a_{step}_s", torch.cat([cell, hidden], 1)[::37, ::20])
    for step in range(input_ids.shape[1]):
        words = seen["words"][:, step]
        checks.check(f"state_w_{step}", words)
        checks.check(f"state_{step}", words)
        checks.check(f"rnn_out_{step}", words.chunk(2, -1)[1])
    checks.check("pred", outputs.grid_logits[..., None])
    checks.check("up", outputs.logits[..., None])
    checks.check("sigm", outputs.logits.sigmoid()[:, ::4, ::4, None])
    checks.check("target", resize_bilinear_tf1(labels[:, None], tuple(outputs.grid_logits.shape[-2:]))[:, 0, ..., None])

    if case.manifest.get("train_step"):
        if is_rmi:
            sources = convert_rmi.rmi_sources(model.config, scope)
        else:
            sources = convert_lstm_cnn.liu_sources(model.config, scope)

        def compute():
            outputs = model(**inputs, labels=labels)
            return outputs.loss, outputs.grid_logits[..., None]

        rate = case.manifest["train_step"]["loss_before"]["lr"]
        optimizer = partial(TensorFlowAdam, lr=rate)
        check_training_step(checks, case, model, sources, compute, optimizer, "pred_after_1_adam_step")
    return checks
