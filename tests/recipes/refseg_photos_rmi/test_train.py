"""The photo recipe from end to end on made-up photos: what it writes can be loaded and used."""

import dataclasses

import numpy as np
import pytest
import torch
from photo_folder import ref, write_folder
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor

import hf_refseg
from hf_refseg import ContextRmiConfig
from hf_refseg.data.photos.lexicon import PHOTO_NOUNS
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.models.mobilenet_v2.configuration_mobilenet_v2 import RefSegMobileNetV2Config
from hf_refseg.models.mobilenet_v2.modeling_mobilenet_v2 import RefSegMobileNetV2Backbone
from hf_refseg.training.word_naming import WORD_NORM
from recipes.refseg_photos_rmi.photos import read_photos, whole_view
from recipes.refseg_photos_rmi.pixel_naming import CATEGORIES, IGNORE, PixelNames, name_map, start_words
from recipes.refseg_photos_rmi.train import RECIPE, PhotoRecipe, build, draw_expressions, read_recipe, train

SIZES = {"word_embedding_size": 12, "lstm_hidden_size": 8, "visual_size": 12, "hidden_size": 8}
ADDITIONS = {"context_size": 8, "detail_size": 4, "loss": "dice_and_cross_entropy"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_folder(root, "authored", [1, 2], [ref(1, "train"), ref(2, "val")])
    write_folder(root, "plain", [2, 3, 4, 5])
    torch.manual_seed(0)
    backbone = {"tf_padding": True, "output_stride": 16, "depth_multiplier": 0.25, "min_depth": 4, "num_labels": 3}
    config = RefSegMobileNetV2Config(**backbone, out_features=["deeplab"])
    config.to_json_file(root / "backbone.json")
    save_file(RefSegMobileNetV2Backbone(config).state_dict(), root / "backbone.safetensors")
    return root


@pytest.fixture
def recipe():
    return PhotoRecipe(
        folders=["authored", "plain"],
        held_out=["val"],
        backbone="backbone.safetensors",
        backbone_config="backbone.json",
        model=SIZES | ADDITIONS,
        image_size=64,
        inference_size=80,
        epochs=2,
        backbone_epochs=1,
        photos_per_step=2,
        evaluate_every=2,
        naming={"views_per_photo": 1, "epochs": 1, "batch_size": 16},
    )


@pytest.fixture
def built(root, recipe):
    photos = read_photos(root, recipe.folders, recipe.held_out)
    return photos, *build(recipe, root, photos)


def test_a_run_writes_a_checkpoint_that_answers(root, recipe, tmp_path):
    results = train(recipe, root, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values() if tensor.is_floating_point()} == {torch.float16}
    written = read_eval_results(tmp_path)
    assert written["metrics"] == {name: value for name, value in results.items() if isinstance(value, float)}
    assert written["counts"]["expressions"] == results["num"] and written["split"] == "val"
    assert results["num"] == 1 and results["swap_sentences"] == 1 and results["absent_pairs"] > 70
    model, processor = AutoModel.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    image = whole_view(read_photos(root, recipe.folders, recipe.held_out)[0]).pixels
    inputs = processor(images=image, text=["the dog", "red dog on the left"])
    assert model.dtype == torch.float32
    with torch.no_grad():
        logits = model(**inputs).logits
    assert logits.shape == (2, 80, 80) and logits.isfinite().all()


def test_the_recipe_of_the_checkpoint_gives_its_configuration():
    shipped = ContextRmiConfig.from_pretrained(hf_refseg.checkpoint_path("refseg-photos-rmi"))
    stated = read_recipe(RECIPE).model
    assert {name: getattr(shipped, name) for name in stated} == stated


def test_a_recipe_with_other_keys_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    for content, message in (
        ("epoch: 3", "unexpected keyword argument 'epoch'"),
        ("backbone: a", "missing .*'folders'"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=f"mine.yaml: .*{message}.*PhotoRecipe lists all keys"):
            read_recipe(file)


def test_the_backbone_is_trained_in_the_last_epochs_only(root, recipe, tmp_path):
    def backbone_after(backbone_epochs):
        run = dataclasses.replace(
            recipe, backbone_epochs=backbone_epochs, backbone_learning_rate=0.1, average_decay=0.0
        )
        train(run, root, tmp_path / str(backbone_epochs))
        model = AutoModel.from_pretrained(tmp_path / str(backbone_epochs))
        return model.backbone.mobilenet_v2.layer[0].expand_1x1.convolution.weight

    published = RefSegMobileNetV2Config.from_json_file(root / "backbone.json")
    torch.manual_seed(0)
    start = RefSegMobileNetV2Backbone(published).half().float()
    frozen = start.mobilenet_v2.layer[0].expand_1x1.convolution.weight
    assert torch.equal(backbone_after(0), frozen)
    assert not torch.equal(backbone_after(1), frozen)


def test_expressions_of_a_view_fit_their_masks(built, recipe):
    photos, *_ = built
    view = whole_view(photos[0])
    rng = np.random.default_rng(0)
    # "two animals" and "left one" mean dogs, "hot dog" does not
    others = {noun for kind, nouns in PHOTO_NOUNS.items() if kind not in ("dog", "animal", "one") for noun in nouns}
    for _ in range(10):
        for text, mask in draw_expressions(view, recipe, rng):
            assert mask.any() == (not any(f" {noun} " in f" {text} " for noun in others)), text


def test_name_map_lies_on_the_letterboxed_grid(built):
    photos, _, processor = built
    names = name_map(whole_view(photos[0]), processor.image_processor, stride=16)  # 120 x 200 in 64 x 64: 13 rows above
    assert names.shape == (4, 4)
    assert (names[3] == IGNORE).all()
    assert set(names[1:3].unique().tolist()) == {0, 1 + CATEGORIES.index("dog")}


def test_words_start_from_the_vectors_of_what_they_name(built):
    _, model, processor = built
    pixel_names = PixelNames(12)
    named = start_words(model, processor.tokenizer, pixel_names)
    vocabulary, vectors = processor.tokenizer.get_vocab(), pixel_names.vectors.weight
    words = model.word_embeddings.weight
    assert {"dog", "man", "board"} <= set(named) and "left" not in named
    dog = vectors[1 + CATEGORIES.index("dog")]
    torch.testing.assert_close(words[vocabulary["dog"]], WORD_NORM * dog / dog.norm())  # not half of a hot dog
    board = vectors[[1 + CATEGORIES.index(name) for name in ("snowboard", "skateboard", "surfboard")]].mean(0)
    torch.testing.assert_close(words[vocabulary["board"]], WORD_NORM * board / board.norm())
    torch.testing.assert_close(words[1:].norm(dim=-1), torch.full((len(words) - 1,), WORD_NORM))


def test_naming_loss_ignores_padding_and_is_least_where_names_are_right():
    pixel_names = PixelNames(4)
    visual = torch.randn(2, 3, 3, 4)
    names = pixel_names.vectors(visual).argmax(-1)
    padded = names.clone()
    padded[0] = IGNORE
    torch.testing.assert_close(pixel_names.loss(visual, padded), pixel_names.loss(visual[1], names[1]))
    assert pixel_names.loss(visual, names) < pixel_names.loss(visual, (names + 1) % 81)
