"""Both graphs of every dense system answer as torch does, for any number of words and expressions."""

import shutil

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

import hf_refseg  # noqa: F401  (registers)
from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.layers.regions import Regions
from hf_refseg.models.hulanet.phrase_structure import WordRole
from hf_refseg.models.region_matcher.matching import exact_sigmoid
from hf_refseg.onnx_graphs.exporting import export_onnx, write_graph
from hf_refseg.onnx_graphs.running import OnnxModel
from hf_refseg.onnx_graphs.weights import store_weights
from hf_refseg.systems import SYSTEMS
from tests.hub.tiny_checkpoints import write_checkpoints, write_photo

onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
pytest.importorskip("onnxscript", reason="pip install -e '.[onnx]'")

OVER_REGIONS = ("region_matcher", "mattnet", "cac", "hulanet")
FAMILIES = [system.family for system in SYSTEMS if system.has("export") and system.family not in OVER_REGIONS]
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
def test_the_default_model_answers_alike_with_its_detector_in_the_graph(tmp_path):
    """For photos of any size, also in one batch, and any number of words and expressions."""
    model, processor = load_model("refseg-photos", dtype=torch.float32).eval(), load_processor("refseg-photos")
    ours = OnnxModel(export_onnx("refseg-photos", tmp_path / "graphs"), threads=1)
    cat, cup = (Image.fromarray(getattr(skimage.data, name)()) for name in ("chelsea", "coffee"))
    generator = torch.Generator().manual_seed(0)
    for photo in (cat, cup.resize((300, 470))):
        photo = processor(images=photo, text="it", return_tensors="pt")
        photo = {name: photo[name] for name in ("pixel_values", "original_sizes", "image_scales")}
        features = ours.get_image_features(**photo)
        with torch.no_grad():
            theirs = model.get_image_features(**photo)
        height, width = photo["pixel_values"].shape[2:]
        for number in range(1, 11):
            for length in (1, 7, 20) if number > 1 else range(1, 21):
                words = words_of(number, length, model.config.vocab_size, generator)
                with torch.no_grad():
                    expected = model(image_features=theirs, **words)
                answered = ours(image_features=features, **words)
                answered.region_scores = answered.region_scores[:, : expected.region_scores.shape[1]]
                # the logits of what is almost sure differ by what float32 can't tell
                answered.logits = answered.logits[:, :height, :width].sigmoid()
                expected.logits = expected.logits.sigmoid()
                for name in ours.description["outputs"]:
                    # boxes are in pixels, hundreds of them
                    rtol = 1e-6 if name == "pred_boxes" else 0
                    torch.testing.assert_close(answered[name], expected[name], rtol=rtol, atol=1e-4)
    assert ours.image_runs == 2
    inputs = processor(images=[cat, cup], text=[["the cat"], ["the cup", "the zebra"]])
    with torch.no_grad():
        outputs = [one(**inputs) for one in (ours, model)]
    results = [processor.post_process_referring_segmentation(one, inputs["original_sizes"]) for one in outputs]
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found["mask"], expected["mask"])
    assert results[0][0]["mask"].any() and results[0][1]["mask"].any()


@pytest.mark.slow
def test_mattnet_matches_given_regions_alike(tmp_path):
    """For any number of regions, words and expressions."""
    folder = write_checkpoints(tmp_path / "plain", "mattnet")["mattnet"]
    model = AutoModel.from_pretrained(folder).eval()
    ours = OnnxModel(export_onnx(folder, tmp_path / "graphs"), threads=1)
    config, generator = model.config, torch.Generator().manual_seed(0)
    for regions in (2, 5, 40):  # fewer and more than a region's neighbors
        corners = 100 * torch.rand(1, regions, 2, generator=generator)
        sides = [config.grid_size] * 2
        given = {
            "region_crops": torch.rand(1, regions, config.region_size, *sides, generator=generator),
            "region_head_maps": torch.rand(1, regions, config.head_size, *sides, generator=generator),
            "region_boxes": torch.cat([corners, corners + 40], 2),
            "region_labels": torch.randint(0, 3, (1, regions), generator=generator),
            "original_sizes": torch.tensor([[150, 160]]),
        }
        crops, head_maps, boxes, labels = (given[name][0] for name in list(given)[:4])
        known = Regions(boxes, (regions,), labels)
        with torch.no_grad():
            encoded = model.matching.encode_regions(known, crops, head_maps, given["original_sizes"])
        features = ours.get_image_features(**given)
        for number in range(1, 11):
            for length in (1, 20) if number > 1 else range(1, 21):
                words = words_of(number, length, config.vocab_size, generator)
                with torch.no_grad():
                    expected = model.matching.match(known, encoded, model.matching.encode_words(**words)).scores
                answered = ours(image_features=features, **words)
                torch.testing.assert_close(answered.region_scores, expected, rtol=0, atol=1e-4)
                assert torch.equal(answered.chosen, answered.region_scores.argmax(1))
    assert ours.image_runs == 3


def photo_with_regions(height: int, width: int, regions: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A photo of twice the size, and boxes in it."""
    corners = torch.rand(1, regions, 2, generator=generator) * torch.tensor([width, height])
    return {
        "pixel_values": 50 * torch.randn(1, 3, height, width, generator=generator),
        "original_sizes": torch.tensor([[2 * height, 2 * width]]),
        "image_scales": torch.tensor([0.5]),
        "region_boxes": torch.cat([corners, corners + torch.tensor([width, height]) * 0.9], 2),
    }


def test_every_system_that_reads_expressions_has_graphs():
    assert {system.family for system in SYSTEMS if system.kind == "referring"} == {*FAMILIES, *OVER_REGIONS}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cac", "hulanet"])
def test_given_regions_are_answered_about_alike(family, tmp_path):
    """For photos of two sizes, and any number of regions, words and expressions."""
    folder = write_checkpoints(tmp_path / "plain", family)[family]
    model = AutoModel.from_pretrained(folder).eval()
    ours = OnnxModel(export_onnx(folder, tmp_path / "graphs"), threads=1)
    generator = torch.Generator().manual_seed(0)
    for height, width, regions in ((64, 85, 2), (51, 96, 40)):
        photo = photo_with_regions(height, width, regions, generator)
        if family == "hulanet":
            photo["region_labels"] = torch.randint(0, 3, (1, regions), generator=generator)  # some of one category
            photo["region_scores"] = torch.rand(1, regions, generator=generator)
        features = ours.get_image_features(**photo)
        theirs = model.get_image_features(**photo)
        for number in range(1, 11):
            for length in (1, 7, 20) if number > 1 else range(1, 21):
                words = words_of(number, length, model.config.vocab_size, generator)
                if family == "hulanet":
                    words |= roles_of_words(words["attention_mask"], generator)
                with torch.no_grad():
                    expected = model(image_features=theirs, **words)
                answered = ours(image_features=features, **words)
                # the logits of what is almost sure differ by what float32 can't tell
                answered.logits, expected.logits = answered.logits.sigmoid(), expected.logits.sigmoid()
                for name in ours.description["outputs"]:
                    rtol = 1e-6 if name == "pred_boxes" else 0
                    torch.testing.assert_close(answered[name], expected[name], rtol=rtol, atol=1e-4)
    assert ours.image_runs == 2


def roles_of_words(attention_mask: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """What HULANet's processor could say of words: of the first expression, that it is a name and nothing else."""
    roles = torch.randint(WordRole.NAME, WordRole.LAST_OF_OBJECT + 1, attention_mask.shape, generator=generator)
    roles[0] = WordRole.NAME
    categories = torch.randint(-1, 5, attention_mask.shape, generator=generator)
    is_word = attention_mask.bool()
    return {"word_roles": roles * is_word, "word_categories": categories.where(is_word, -1)}


@pytest.mark.slow
def test_what_photos_of_a_batch_are_padded_with_is_not_read(tmp_path):
    folder = write_checkpoints(tmp_path / "plain", "cac")["cac"]
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    ours = OnnxModel(export_onnx(folder, tmp_path / "graphs"), threads=1)
    photos = [Image.new("RGB", size, color) for size, color in (((64, 48), "red"), ((48, 90), "blue"))]
    inputs = processor(images=photos, text=["the red dog", "a cat"])
    inputs["region_boxes"] = torch.tensor([[[0, 0, 20, 20], [9, 9, 40, 30]], [[5, 5, 30, 80], [0, 9, 40, 30]]]).float()
    with torch.no_grad():
        outputs = [one(**inputs) for one in (model, ours)]
    results = [processor.post_process_referring_segmentation(one, inputs["original_sizes"]) for one in outputs]
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found["mask"], expected["mask"])


def test_a_graph_says_nothing_of_the_machine_that_wrote_it(tmp_path):
    write_graph(torch.nn.Linear(3, 2), {"x": torch.rand(4, 3)}, {"x": {}}, ["y"], tmp_path / "linear.onnx")
    assert b".py" not in (tmp_path / "linear.onnx").read_bytes()
    graph = onnx.load(tmp_path / "linear.onnx").graph
    assert [one.name for one in graph.output] == ["y"] and not any(node.metadata_props for node in graph.node)


def test_small_probabilities_are_as_exact_as_in_the_model(tmp_path):
    """ONNX Runtime's own sigmoid is a percent off at -12."""

    class Sigmoid(torch.nn.Module):
        def forward(self, logits):
            return exact_sigmoid(logits)

    logits = torch.linspace(-12, 12, 1000)
    write_graph(Sigmoid(), {"logits": logits}, {"logits": {}}, ["probabilities"], tmp_path / "sigmoid.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "sigmoid.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"logits": logits.numpy()})
    np.testing.assert_allclose(found, logits.double().sigmoid(), rtol=1e-5)


def test_refusals_teach(tmp_path):
    folders = write_checkpoints(tmp_path / "plain", "mask_rcnn", "rmi")
    with pytest.raises(ValueError, match="is a model of type 'refseg_mask_rcnn', which reads no expressions; .*rmi"):
        export_onnx(folders["mask_rcnn"], tmp_path / "graphs")
    with pytest.raises(ValueError, match="weights are stored as float32, float16, int8, not as 'int4'"):
        export_onnx(folders["rmi"], tmp_path / "graphs", weights="int4")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there exists"):
        export_onnx(folders["rmi"], tmp_path / "there")
    assert not (tmp_path / "graphs").exists()
