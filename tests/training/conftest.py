"""A trainer that is small enough to run in a test: miniature RMI, drawn scenes of 48 pixels."""

import pytest
import torch
from tiny import tiny_caffe_resnet_config, tiny_rmi

from hf_refseg import RmiImageProcessor, RmiProcessor
from hf_refseg.data import ReferringSegmentationCollator, RefShapes
from hf_refseg.evaluation.evaluators import referring_evaluators
from hf_refseg.models.rmi.training_rmi import KEYS
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training import ReferringSegmentationTrainer, RefSegTrainingArguments


@pytest.fixture(autouse=True)
def one_thread():
    """Bit-for-bit comparisons need one order of summation, in this process and in its children."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_trainer(tmp_path):
    def make(
        model=None, eval_rows=None, train_rows=None, protocol="hu2016", interpolation="clean", **arguments
    ) -> ReferringSegmentationTrainer:
        tokenizer = tokenizer_from_sentences(RefShapes.vocabulary("refcoco"))
        processor = RmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer)
        torch.manual_seed(0)
        if model is None:
            backbone = tiny_caffe_resnet_config(freeze_batch_norm=False)
            model = tiny_rmi(vocab_size=len(tokenizer), backbone_config=backbone)
        settings = {"output_dir": str(tmp_path / "run"), "report_to": "none", "disable_tqdm": True, "max_steps": 2}
        return ReferringSegmentationTrainer(
            model=model,
            args=RefSegTrainingArguments(**{**settings, "use_cpu": True, **arguments}),
            processing_class=processor,
            train_dataset=RefShapes("train", size=48, num_samples=12) if train_rows is None else train_rows,
            eval_dataset=RefShapes("val", size=48, num_samples=7) if eval_rows is None else eval_rows,
            data_collator=ReferringSegmentationCollator(processor, flip_probability=0.5),
            evaluators=referring_evaluators(processor, protocol, interpolation, labels=True),
            parameter_scopes=KEYS.parameter_scopes,
        )

    return make
