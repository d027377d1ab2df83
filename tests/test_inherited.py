"""What our classes inherit from transformers: each method and argument works, or says why not, and none is undecided.

A new version of transformers that adds one fails a test here, until somebody has tried it and written it down.
"""

import dataclasses

import pytest
import torch
from PIL import Image
from transformers import TrainingArguments

from hf_refseg import RmiConfig, RmiForReferringSegmentation, RmiImageProcessor, RmiProcessor
from hf_refseg.data import ReferringSegmentationCollator, RefShapes
from hf_refseg.evaluation.evaluators import referring_evaluators
from hf_refseg.pipelines import ReferringSegmentationPipeline
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training.arguments import SAMPLING, UNREAD, RefSegTrainingArguments
from hf_refseg.training.trainer import ReferringSegmentationTrainer
from tests.tiny import tiny_rmi

# ---- Arguments of a training ----

TRIED = {  # in one training below
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 3,
    "max_steps": 3,
    "learning_rate": 1e-4,
    "lr_scheduler_type": "cosine",
    "lr_scheduler_kwargs": {},
    "warmup_steps": 1,
    "optim": "adamw_torch",
    "optim_args": "amsgrad=True",
    "weight_decay": 0.1,
    "adam_beta1": 0.8,
    "adam_beta2": 0.9,
    "adam_epsilon": 1e-6,
    "gradient_accumulation_steps": 2,
    "average_tokens_across_devices": False,
    "max_grad_norm": 1.0,
    "bf16": True,
    "bf16_full_eval": True,
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "neftune_noise_alpha": 5.0,
    "torch_empty_cache_steps": 1,
    "logging_strategy": "steps",
    "logging_steps": 1,
    "logging_first_step": True,
    "log_level": "error",
    "log_level_replica": "error",
    "log_on_each_node": False,
    "disable_tqdm": True,
    "report_to": "none",
    "run_name": "a name",
    "eval_strategy": "steps",
    "eval_steps": 1,
    "eval_delay": 0,
    "eval_on_start": True,
    "save_strategy": "steps",
    "save_steps": 1,
    "save_total_limit": 2,
    "save_on_each_node": True,
    "enable_jit_checkpoint": False,
    "load_best_model_at_end": True,
    "metric_for_best_model": "oIoU",
    "greater_is_better": True,
    "seed": 3,
    "data_seed": 4,
    "use_cpu": True,
    "dataloader_drop_last": True,
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
    "dataloader_in_order": True,
    "train_sampling_strategy": "sequential",
    "skip_memory_metrics": True,
    "ignore_data_skip": True,
    "save_only_model": True,
}
ELSEWHERE = {  # where it is tried, or why nothing of ours can matter to it
    "output_dir": "every training",
    "num_train_epochs": "tests/training/test_trainer.py",
    "fp16": "needs a GPU: pytest -m gpu",
    "fp16_full_eval": "as bf16_full_eval",
    "tf32": "a switch of PyTorch",
    "activation_checkpointing": "the new name of gradient_checkpointing",
    "activation_checkpointing_kwargs": "the new name of gradient_checkpointing_kwargs",
    "torch_compile": "tests/models/model_tester.py compiles every model",
    "torch_compile_backend": "as torch_compile",
    "torch_compile_mode": "as torch_compile",
    "auto_find_batch_size": "calls the training again, with a smaller batch",
    "optim_target_modules": "of optimizers that are packages of their own",
    "logging_nan_inf_filter": "off: tests/training/test_trainer.py",
    "full_determinism": "switches of PyTorch",
    "restore_callback_states_from_checkpoint": "of callbacks of a user",
    "dataloader_persistent_workers": "of PyTorch's DataLoader",
    "dataloader_prefetch_factor": "of PyTorch's DataLoader",
    "dataloader_multiprocessing_context": "of PyTorch's DataLoader",
    "do_train": "of scripts around a Trainer; a recipe refuses it",
    "do_eval": "of scripts around a Trainer; a recipe refuses it",
    "do_predict": "of scripts around a Trainer; a recipe refuses it",
    **dict.fromkeys(
        ["push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push"],
        "tests/hub/test_publishing.py",
    ),
    **dict.fromkeys(["hub_revision"], "an argument of the Hub's client"),
    **dict.fromkeys(
        ["project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"], "of the tracker trackio"
    ),
    **dict.fromkeys(
        ["accelerator_config", "parallelism_config", "deepspeed", "fsdp", "fsdp_config", "local_rank"],
        "of accelerate, which wraps the model; tests/models/model_tester.py shards every model",
    ),
    **dict.fromkeys(
        ["ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph"],
        "of PyTorch's DistributedDataParallel",
    ),
    **dict.fromkeys(["ddp_backend", "ddp_timeout"], "of PyTorch's process groups"),
}


def test_every_argument_of_a_training_is_decided():
    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    decided = [*TRIED, *ELSEWHERE, *UNREAD]
    assert sorted(decided) == sorted(set(decided)), "decided twice"
    assert fields - set(decided) == set(), "new in transformers: try them, and write them down in this file"
    assert set(decided) - fields - {"local_rank"} == set(), "no longer in transformers"


@pytest.mark.parametrize("name", UNREAD)
def test_an_argument_that_nothing_reads_says_why(name, tmp_path):
    values = {"label_names": ["labels"], "include_for_metrics": ["loss"], "liger_kernel_config": {"rope": True}}
    values |= {"length_column_name": "words", "debug": "underflow_overflow", "include_num_input_tokens_seen": "all"}
    values |= {"label_smoothing_factor": 0.1, "eval_accumulation_steps": 1, "eval_do_concat_batches": False}
    with pytest.raises(ValueError, match=f"{name} is .*{UNREAD[name][:20]}.*; leave it out"):
        RefSegTrainingArguments(output_dir=str(tmp_path), **{name: values.get(name, True)})


def test_samplers_by_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"rows have no lengths; choose one of {', '.join(SAMPLING)}"):
        RefSegTrainingArguments(output_dir=str(tmp_path), train_sampling_strategy="group_by_length")


@pytest.fixture(scope="module")
def rows():
    return RefShapes("train", size=48, num_samples=6)


@pytest.fixture(scope="module")
def processor():
    tokenizer = tokenizer_from_sentences(RefShapes.vocabulary())
    return RmiProcessor(RmiImageProcessor(size={"height": 32, "width": 32}), tokenizer)


@pytest.fixture
def model(processor):
    torch.manual_seed(0)
    return tiny_rmi(vocab_size=len(processor.tokenizer))


@pytest.fixture
def make_trainer(model, processor, rows, tmp_path):
    def make(arguments: dict, **kwargs) -> ReferringSegmentationTrainer:
        return ReferringSegmentationTrainer(
            model=model,
            args=RefSegTrainingArguments(output_dir=str(tmp_path / "run"), **arguments),
            processing_class=processor,
            data_collator=ReferringSegmentationCollator(processor),
            evaluators=referring_evaluators(processor),
            train_dataset=rows,
            eval_dataset=rows[:2],
            **kwargs,
        )

    return make


def test_arguments_work_together(make_trainer):
    trainer = make_trainer(TRIED)
    trainer.train()
    history = trainer.state.log_history
    assert trainer.state.global_step == 3
    assert sum("loss" in entry for entry in history) == 3
    assert sum("eval_oIoU" in entry for entry in history) == 4, "before the training, and after every step"
    assert trainer.state.best_metric == max(entry["eval_oIoU"] for entry in history if "eval_oIoU" in entry)


# ---- Methods of the trainer ----

QUIET = {"max_steps": 1, "use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}


def test_predict_gives_the_metrics_of_a_test_split(make_trainer, rows):
    trainer = make_trainer(QUIET)
    metrics = trainer.predict(rows[:2]).metrics
    assert metrics["test_oIoU"] == trainer.evaluate()["eval_oIoU"] and metrics["test_num"] > 0
    several = trainer.evaluate({"first": rows[:1], "last": rows[1:2]})
    assert {"eval_first_oIoU", "eval_last_oIoU"} <= several.keys()


def test_a_search_and_foreign_metrics_are_refused(make_trainer):
    with pytest.raises(NotImplementedError, match="start one training per setting"):
        make_trainer(QUIET).hyperparameter_search(n_trials=1)
    for name in ("compute_metrics", "preprocess_logits_for_metrics", "model_init"):
        with pytest.raises(ValueError, match=f"does not read {name}: give evaluators"):
            make_trainer(QUIET, **{name: lambda *_: {}})


# ---- Methods of the other classes ----

OF_EVERYTHING = ["from_pretrained", "save_pretrained", "push_to_hub", "register_for_auto_class"]
INHERITED = {
    RmiForReferringSegmentation: {
        "tests/models/model_tester.py, tests/hub": [*OF_EVERYTHING, "float", "half", "to", "cuda", "train", "eval"],
        "gradient checkpointing: tests/models/model_tester.py": [
            *("activation_checkpointing_enable", "activation_checkpointing_disable", "gradient_checkpointing_enable"),
            *("gradient_checkpointing_disable", "enable_input_require_grads", "disable_input_require_grads"),
        ],
        "tried below": [
            *("get_input_embeddings", "set_input_embeddings", "resize_token_embeddings", "num_parameters"),
            *("set_attn_implementation", "can_generate", "get_memory_footprint", "get_output_embeddings"),
            *("get_position_embeddings", "resize_position_embeddings", "dequantize", "add_model_tags"),
        ],
        "of the package peft, which says so where it is missing": [
            *("active_adapters", "add_adapter", "delete_adapter", "disable_adapters", "enable_adapters"),
            *("enable_peft_hotswap", "get_adapter_state_dict", "load_adapter", "set_adapter"),
        ],
        "of language models: our models have no such part": [
            *("get_decoder", "get_encoder", "set_decoder", "set_encoder", "set_output_embeddings", "get_compiled_call"),
            *("get_experts_implementation", "set_experts_implementation", "warn_if_padding_and_no_attention_mask"),
            *("get_correct_experts_implementation", "generation_config_class"),
        ],
        "of the package kernels, which says so where it is missing": ["set_use_kernels"],
        "steps of loading, saving and sharding, which transformers calls": [
            *("barrier_after_gathered_checkpoint_save", "config_class", "gather_sharded_state_dict_for_save"),
            *("get_correct_attn_implementation", "get_expanded_tied_weights_keys", "get_init_context"),
            *("get_parameter_or_buffer", "init_parallel_plans", "init_weights", "initialize_weights"),
            *("is_backend_compatible", "is_custom_code", "is_remote_code", "mark_tied_weights_as_initialized"),
            *("maybe_distribute_model", "named_non_persistent_buffers", "post_init", "prepare_distribute_model"),
            *("retrieve_modules_from_names", "save_distributed_checkpoint", "should_save_on_this_rank", "tie_weights"),
        ],
    },
    RmiProcessor: {
        "tests/processing, tests/hub": OF_EVERYTHING,
        "tests/peer/test_processing.py": ["to_dict", "to_json_file", "to_json_string", "from_args_and_dict"],
        "tried below": ["batch_decode", "decode", "apply_chat_template"],
        "of processors of language models, to which no call of ours leads": [
            *("create_mm_token_type_ids", "get_text_with_replacements", "parse_response", "prepare_inputs_layout"),
            *("post_process_image_text_to_text", "post_process_multimodal_output", "replace_audio_token"),
            *("replace_image_token", "replace_video_token", "validate_inputs"),
        ],
        "steps of loading and saving, which transformers calls": [
            *("check_argument_for_proper_class", "get_attributes", "get_possibly_dynamic_module", "get_processor_dict"),
            *("valid_processor_kwargs", "validate_init_kwargs"),
        ],
    },
    RmiImageProcessor: {
        "tests/processing, tests/hub": OF_EVERYTHING,
        "tests/peer/test_processing.py": [
            *("to_dict", "to_json_file", "to_json_string", "from_dict", "from_json_file", "preprocess"),
        ],
        "steps of a call, of tensors": [
            *("center_crop", "convert_to_rgb", "fetch_images", "normalize", "pad", "process_image", "rescale"),
            *("rescale_and_normalize", "resize", "get_image_processor_dict", "valid_kwargs"),
        ],
    },
    RmiConfig: {
        "tests/models, tests/peer/test_modeling.py": [
            *OF_EVERYTHING,
            *("from_dict", "from_json_file", "to_dict", "to_diff_dict", "to_json_file", "to_json_string"),
            *("update", "update_from_string", "get_config_dict", "validate"),
        ],
        "of language models, to which no call of ours leads": [
            *("convert_rope_params_to_dict", "get_mtp_config", "get_text_config", "nested_rope_parameter_keys"),
            *("standardize_rope_params", "validate_rope", "validate_layer_type"),
        ],
        "steps of loading and saving, which transformers calls": [
            *("default_config_fields", "dict_dtype_to_str", "is_custom_code", "is_remote_code"),
            *("validate_architecture", "validate_output_attentions", "validate_token_ids"),
        ],
    },
    ReferringSegmentationPipeline: {
        "tests/test_pipelines.py": ["save_pretrained", "push_to_hub", "preprocess", "forward", "postprocess"],
        "tried below": ["predict", "transform"],
        "steps of a call, which transformers makes": [
            *("check_model_type", "device_placement", "ensure_tensor_on_device", "get_inference_context"),
            *("get_iterator", "run_single"),
        ],
    },
    ReferringSegmentationTrainer: {
        "tests/training": [
            *("train", "evaluate", "compute_loss", "training_step", "create_optimizer", "create_scheduler"),
            *("create_optimizer_and_scheduler", "get_decay_parameter_names", "get_eval_dataloader", "evaluation_loop"),
            *("get_train_dataloader", "save_model", "log", "add_callback", "is_world_process_zero", "init_hf_repo"),
            *("push_to_hub", "create_model_card"),
        ],
        "tried above": ["predict", "get_test_dataloader", "hyperparameter_search"],
        "our evaluations do not call it": ["prediction_step"],
        "numbers and files of a Trainer, in which nothing is ours": [
            *("floating_point_ops", "get_learning_rates", "get_num_trainable_parameters", "get_optimizer_group"),
            *("get_optimizer_cls_and_kwargs", "get_total_train_batch_size", "num_examples", "is_local_process_zero"),
            *("log_metrics", "metrics_format", "save_metrics", "save_state", "store_flos", "pop_callback"),
            *("remove_callback", "get_batch_samples", "get_cp_size", "get_sp_size", "get_tp_size"),
        ],
        "steps of a training, which transformers calls": [
            *("autocast_smart_context_manager", "call_model_init", "compute_loss_context_manager", "end"),
            *("create_accelerator_and_postprocess", "set_initial_training_values"),
        ],
    },
}


@pytest.mark.parametrize("ours", INHERITED, ids=lambda ours: ours.__name__)
def test_every_inherited_method_is_decided(ours):
    ancestors = [one for one in ours.__mro__ if one.__module__.split(".")[0] in ("transformers", "huggingface_hub")]
    found = {
        name
        for ancestor in ancestors
        for name in vars(ancestor)
        if not name.startswith("_") and callable(getattr(ours, name, None))
    }
    decided = [name for names in INHERITED[ours].values() for name in names]
    assert sorted(decided) == sorted(set(decided)), "decided twice"
    assert found - set(decided) == set(), "new in transformers: try them, and write them down in this file"


def test_embeddings_can_be_resized(model, processor):
    words = {"input_ids": torch.tensor([[5, 6]]), "pixel_values": torch.zeros(1, 3, 32, 32)}
    with torch.no_grad():
        before = model(**words).logits
        model.resize_token_embeddings(len(processor.tokenizer) + 7, mean_resizing=False)
        assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == len(processor.tokenizer) + 7
        assert torch.equal(model(**words).logits, before)
    model.set_input_embeddings(embeddings := torch.nn.Embedding(9, 10))
    assert model.get_input_embeddings() is embeddings


def test_what_models_lack_is_said(model):
    assert not model.can_generate() and model.get_output_embeddings() is None
    assert model.num_parameters() > 0 and model.get_memory_footprint() > 0
    model.set_attn_implementation("eager")
    model.add_model_tags(["mine"])
    for name in ("sdpa", "flash_attention_2", "flex_attention"):
        with pytest.raises(ValueError, match="RmiForReferringSegmentation does not support"):
            model.set_attn_implementation(name)
    for call in (model.get_position_embeddings, lambda: model.resize_position_embeddings(3)):
        with pytest.raises(NotImplementedError, match="not implemented for"):
            call()
    with pytest.raises(ValueError, match="first quantize"):
        model.dequantize()


def test_processors_decode_and_refuse_what_they_do_not_read(processor):
    image = Image.new("RGB", (9, 9))
    ids = processor(text="the red circle")["input_ids"]
    assert processor.batch_decode(ids) == [processor.decode(ids[0])] == ["the red circle"]
    with pytest.raises(ValueError, match="does not have a chat template"):
        processor.apply_chat_template([{"role": "user", "content": "the cat"}])
    for option in ({"videos": image}, {"imagez": image}, {"text_pair": "a"}, {"stride": 2}):
        with pytest.raises(TypeError, match=f"RmiProcessor does not read {next(iter(option))}; beside images, text"):
            processor(image, "the red circle", **option)
    for group in ("text_kwargs", "images_kwargs"):
        with pytest.raises(TypeError, match=rf"does not read {group}\['mistyped'\]"):
            processor(image, "the red circle", **{group: {"mistyped": 1}})
    with pytest.raises(ValueError, match="max_length is '3'; give a number of words"):
        processor(image, "the red circle", text_kwargs={"max_length": "3"})
    padded = processor(image, "the red circle", pad_to_multiple_of=4, padding_side="right")
    assert padded["attention_mask"].tolist() == [[1, 1, 1, 0]]


def test_pipelines_predict_and_transform(model, processor):
    pipe = ReferringSegmentationPipeline(model=model, processor=processor)
    asked = [{"image": Image.new("RGB", (40, 30)), "text": "the red circle"}]
    assert [one["label"] for one in pipe.predict(asked)] == [one["label"] for one in pipe.transform(asked)]
