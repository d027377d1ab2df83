"""Both graphs of every dense system answer as torch does, for any number of words and expressions."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

import hf_refseg  # noqa: F401  (registers)
from hf_refseg.onnx_graphs.exporting import export_onnx
from hf_refseg.onnx_graphs.running import OnnxModel
from hf_refseg.onnx_graphs.weights import store_weights
from hf_refseg.systems import SYSTEMS
from tests.hub.tiny_checkpoints import write_checkpoints, write_photo
from tests.tiny import tiny_nanodet, tiny_region_matcher

onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
pytest.importorskip("onnxscript", reason="pip install -e '.[onnx]'")

FAMILIES = [system.family for system in SYSTEMS if system.has("export") and system.family != "region_matcher"]
SIZES = {"context_rmi": [(64, 64), (96, 128)], "rmi": [(64, 64), (96, 128)], "lstm_cnn": [(64, 64), (64, 128)]}


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request, tmp_path_factory):
    """The folder of a tiny model, and that of its graphs."""
    root = tmp_path_factory.mktemp("onnx")
    folder = write_checkpoints(root / "plain", request.param)[request.param]
    write_photo(root / "photo.png")
    return folder, export_onnx(folder, root / "graphs")


def words_of(number: int, length: int, vocab_size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Random expressions, the first as long as there are words, padded on the left."""
    ids = torch.randint(1, vocab_size, (number, length), generator=generator)
    starts = torch.randint(0, length, (number, 1), generator=generator)
    starts[0] = 0
    mask = (torch.arange(length) >= starts).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.slow
def test_same_logits_for_any_number_of_words_expressions_and_pixels(exported):
    folder, graphs = exported
    model, ours = AutoModel.from_pretrained(folder).eval(), OnnxModel(graphs, threads=1)
    generator = torch.Generator().manual_seed(0)
    compared = 0
    for size in SIZES[folder.name]:
        pixels = torch.rand(1, 3, *size, generator=generator)
        features = ours.get_image_features(pixel_values=pixels)
        for number in range(1, 11):
            for length in (1, 2, 3, 7, 20) if number > 2 else range(1, 21):
                words = words_of(number, length, model.config.vocab_size, generator)
                with torch.no_grad():
                    expected = model(pixel_values=pixels, **words).logits
                answered = ours(image_features=features, **words).logits
                torch.testing.assert_close(answered, expected, rtol=0, atol=1e-4)
                compared += 1
    assert compared == 160
    assert ours.image_runs == len(SIZES[folder.name])


@pytest.mark.slow
def test_the_words_are_a_loop_in_the_graph(exported):
    _, graphs = exported
    graph = onnx.load(graphs / "expression.onnx").graph
    scans = [node.op_type for node in graph.node].count("Scan")
    assert scans == (1 if "fusion" in {one.name for one in graph.input} else 2)  # words; words in cells
    assert {one.name for one in graph.input} >= {"canvas", "input_ids", "attention_mask"}


@pytest.mark.slow
def test_photos_become_the_same_masks(exported, tmp_path):
    folder, graphs = exported
    photo = str(graphs.parent / "photo.png")
    results = {}
    for name, (place, model) in {
        "torch": (folder, AutoModel.from_pretrained(folder).eval()),
        "onnx": (graphs, OnnxModel(graphs)),
    }.items():
        processor = AutoProcessor.from_pretrained(place)
        inputs = processor(images=[photo, photo], text=[["the red dog"], ["a cat on the left", "dog"]])
        with torch.no_grad():
            outputs = model(**inputs)
        results[name] = processor.post_process_referring_segmentation(outputs, inputs["original_sizes"])
    assert len(results["onnx"]) == 3
    for found, expected in zip(results["onnx"], results["torch"], strict=True):
        np.testing.assert_array_equal(found["mask"], expected["mask"])
        assert found["image_index"] == expected["image_index"]


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "most"), [("float16", 2e-2), ("int8", 0.5)])
def test_weights_may_take_less_room(exported, tmp_path, weights, most):
    """The difference is rounding: smaller than what would change a mask as a whole."""
    _, graphs = exported
    shutil.copytree(graphs, tmp_path / weights)
    for name in ("image.onnx", "expression.onnx"):
        store_weights(tmp_path / weights / name, weights)
        assert (tmp_path / weights / name).stat().st_size < (graphs / name).stat().st_size
    inputs = words_of(3, 4, 8, torch.Generator().manual_seed(2)) | {"pixel_values": torch.rand(1, 3, 64, 64)}
    small, large = (OnnxModel(folder, threads=1)(**inputs).logits for folder in (tmp_path / weights, graphs))
    assert (small - large).abs().max() <= most * large.abs().max()


@pytest.mark.slow
def test_the_region_matcher_answers_alike_with_its_detector_in_the_graph(tmp_path):
    """For photos of any size, also in one batch, and any number of words and expressions."""
    detector = tiny_nanodet(pre_nms_top_n=60, max_detections=9)
    model = tiny_region_matcher(vocab_size=30, num_trained_words=5, detector_config=detector.config)
    model.detector.load_state_dict(detector.state_dict())
    folder = write_checkpoints(tmp_path / "plain", "region_matcher")["region_matcher"]
    model.save_pretrained(folder)
    ours = OnnxModel(export_onnx(folder, tmp_path / "graphs"), threads=1)
    generator, names = torch.Generator().manual_seed(0), ours.description["outputs"]
    for height, width in ((51, 70), (128, 64)):
        photo = {
            "pixel_values": torch.rand(1, 3, height, width, generator=generator),
            "original_sizes": torch.tensor([[2 * height, 2 * width]]),
            "image_scales": torch.tensor([0.5]),
        }
        features = ours.get_image_features(**photo)
        for number in range(1, 11):
            for length in (1, 7, 20) if number > 1 else range(1, 21):
                words = words_of(number, length, model.config.vocab_size, generator)
                with torch.no_grad():
                    expected = model(**photo, **words)
                answered = ours(image_features=features, **words)
                answered.logits = answered.logits[:, :height, :width]
                answered.region_scores = answered.region_scores[:, : expected.region_scores.shape[1]]
                for name in names:
                    torch.testing.assert_close(answered[name], expected[name], rtol=0, atol=1e-4)
    assert ours.image_runs == 2
    processor, photos = AutoProcessor.from_pretrained(folder), [np.zeros((40, 64, 3), np.uint8), tmp_path / "photo.png"]
    write_photo(photos[1])
    inputs = processor(images=photos, text=[["the red dog"], ["a cat on the left", "dog"]])
    for found, expected in zip(
        processor.post_process_referring_segmentation(ours(**inputs), inputs["original_sizes"]),
        processor.post_process_referring_segmentation(model(**inputs), inputs["original_sizes"]),
        strict=True,
    ):
        np.testing.assert_array_equal(found["mask"], expected["mask"])


def test_refusals_teach(tmp_path):
    folder = write_checkpoints(tmp_path / "plain", "cac")["cac"]
    with pytest.raises(ValueError, match="refseg_cac has no ONNX graphs; these systems have: .*refseg_rmi"):
        export_onnx(folder, tmp_path / "graphs")
    with pytest.raises(ValueError, match="weights are stored as float32, float16, int8, not as 'int4'"):
        export_onnx(folder, tmp_path / "graphs", weights="int4")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there exists"):
        export_onnx(folder, tmp_path / "there")
    assert not (tmp_path / "graphs").exists()
