"""A miniature RMI that knows RefShapes' words, saved to a folder, with masks that are neither empty nor everything."""

import pytest
import torch
from tiny import tiny_rmi

from hf_refseg import RmiImageProcessor, RmiProcessor
from hf_refseg.data import RefShapes
from hf_refseg.evaluation.run import Evaluation
from hf_refseg.processing.tokenization import tokenizer_from_sentences


@pytest.fixture(autouse=True)
def one_thread():
    """Bit-for-bit comparisons need one order of summation, in this process and in its children."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def save_model(folder, seed=0):
    torch.manual_seed(seed)
    tokenizer = tokenizer_from_sentences(RefShapes.vocabulary())
    model = tiny_rmi(vocab_size=len(tokenizer))
    with torch.no_grad():
        model.classifier.weight.mul_(30)
    model.save_pretrained(folder)
    RmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def evaluation(model_folder, tmp_path):
    """Makes an `Evaluation` of the first rows of RefShapes; any field can be given."""

    def make(**fields):
        defaults = {"dataset": "refshapes", "split": "val", "protocol": "hu2016", "limit": 7, "batch_size": 3}
        return Evaluation(**{"model": model_folder, "output": tmp_path / "results", **defaults, **fields})

    return make
