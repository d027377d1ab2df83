"""The second training from end to end on made-up photos: what it writes can be loaded and used."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from hf_refseg import ContextRmiProcessor, RmiImageProcessor
from hf_refseg.data import load
from hf_refseg.data.leaks import LeakError
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from recipes.refseg_photos_rmi import finetune
from recipes.refseg_photos_rmi.finetune import RECIPE, FinetuneRecipe, Training
from recipes.refseg_photos_rmi.train import read_recipe
from tests.tiny import tiny_context_rmi

SETTINGS = FinetuneRecipe(image_size=48, epochs=2, photos_per_step=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    tokenizer = tokenizer_from_sentences(["the red dog", "a truck"])
    tiny_context_rmi(vocab_size=len(tokenizer)).save_pretrained(folder)
    ContextRmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def finished(base, photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    Training(SETTINGS, base, photos, output).run()
    return output / "checkpoint"


def test_a_run_writes_a_small_checkpoint_that_answers_at_the_size_of_its_training(finished, photos):
    assert {tensor.dtype for tensor in load_file(finished / "model.safetensors").values()} == {torch.float16}
    model, processor = AutoModel.from_pretrained(finished), AutoProcessor.from_pretrained(finished)
    assert model.dtype == torch.float32
    inputs = processor(images=load(photos, "held_out")[0]["image"], text=["the dog", "truck on the left"])
    with torch.no_grad():
        logits = model(**inputs).logits
    assert logits.shape == (2, 48, 48) and logits.isfinite().all()


def test_it_knows_the_words_of_the_sentences_and_what_is_near_to_them(finished, photos):
    model, tokenizer = AutoModel.from_pretrained(finished), AutoProcessor.from_pretrained(finished).tokenizer
    ids = tokenizer.get_vocab()
    assert model.config.vocab_size == len(ids)
    said = {word for text in load(photos, "train").sentences() for word in text.lower().split() if word.isalpha()}
    assert all(ids[word] < model.config.num_trained_words for word in said | {"truck"})
    assert ids["puppy"] >= model.config.num_trained_words and "parliament" not in ids
    puppy, dog = model.word_embeddings.weight[[ids["puppy"], ids["dog"]]]
    assert torch.cosine_similarity(puppy, dog, dim=0) > 0.5


def test_the_backbone_stays_as_it_is(base, finished):
    before, after = (AutoModel.from_pretrained(folder).state_dict() for folder in (base, finished))
    for name in before:
        same = torch.equal(before[name][: len(after[name])].half().float(), after[name][: len(before[name])])
        assert same or not name.startswith("backbone."), name
    assert not torch.equal(before["classifier.classifier.weight"], after["classifier.classifier.weight"])


def test_a_run_that_was_killed_goes_on_where_it_was(base, photos, finished, tmp_path, monkeypatch):
    killed = Training(SETTINGS, base, photos, tmp_path)
    epochs = iter([killed.run_epoch])
    monkeypatch.setattr(killed, "run_epoch", lambda: next(epochs)())
    with pytest.raises(StopIteration):
        killed.run()
    resumed = Training(SETTINGS, base, photos, tmp_path)
    assert resumed.epoch == 1
    resumed.run()
    for name, tensor in load_file(finished / "model.safetensors").items():
        torch.testing.assert_close(load_file(tmp_path / "checkpoint/model.safetensors")[name], tensor, msg=name)


def test_photos_of_an_evaluation_are_refused(base, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "EVALUATED", ("val", "train"))
    with pytest.raises(LeakError, match="were trained on"):
        Training(SETTINGS, base, photos, tmp_path)


def test_the_recipe_that_ships_can_be_read(tmp_path):
    assert read_recipe(RECIPE, FinetuneRecipe).drawing["repeated"] == ["photos/coco_cc"]
    file = tmp_path / "mine.yaml"
    file.write_text("epoch: 3")
    with pytest.raises(ValueError, match="mine.yaml: .*unexpected keyword argument 'epoch'; FinetuneRecipe lists all"):
        read_recipe(file, FinetuneRecipe)
