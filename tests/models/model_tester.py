"""What every system must pass: subclass it, say how to make the tiny model, and inherit the tests."""

import copy
import pickle

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils._pytree import tree_map_only
from transformers import AutoModel, PreTrainedModel

import hf_refseg
from hf_refseg.auto import AutoModelForReferringSegmentation
from tests.tiny import VOCAB_SIZE

SIZE = 64


def to_gpu(inputs):
    """The arguments of a model with all of their tensors on the GPU, those inside of lists too."""
    return tree_map_only(torch.Tensor, torch.Tensor.cuda, inputs)


class ModelTester:
    """Tests of the contract that all systems share (design, section 1)."""

    word_inputs = ("input_ids", "attention_mask")  # what each expression has by itself
    draws_samples = False  # whether a training step chooses at random what it learns from

    def make_model(self, **kwargs) -> PreTrainedModel:
        raise NotImplementedError(f"{type(self).__name__} says how its tiny model is made")

    @pytest.fixture
    def model(self) -> PreTrainedModel:
        torch.manual_seed(0)
        return self.make_model()

    @pytest.fixture
    def inputs(self) -> dict[str, torch.Tensor]:
        return self.images_and_words()

    def images_and_words(self) -> dict[str, torch.Tensor]:
        """Two images and three expressions of one, two and four words, padded on the left."""
        generator = torch.Generator().manual_seed(1)
        input_ids = torch.randint(4, VOCAB_SIZE, (3, 4), generator=generator)
        input_ids[0, :3] = 0
        input_ids[1, :2] = 0
        return {
            "pixel_values": torch.randn(2, 3, SIZE, SIZE, generator=generator),
            "input_ids": input_ids,
            "attention_mask": (input_ids != 0).long(),
            "image_index": torch.tensor([1, 0, 1]),
        }

    @pytest.fixture
    def labels(self) -> torch.Tensor:
        return (torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(2)) > 0.5).float()

    # ---- What a system whose inputs or training differ says of itself ----

    def with_labels(self, inputs: dict, labels: torch.Tensor) -> dict:
        """The arguments of a training step."""
        return {**inputs, "labels": labels}

    def of_image(self, inputs: dict, image: int) -> dict:
        """The arguments that one image of the batch has, without expressions."""
        return {"pixel_values": inputs["pixel_values"][image, None]}

    def answer(self, outputs) -> torch.Tensor:
        """What other words or other pixels change for certain."""
        return outputs.logits

    def backbone(self, model: PreTrainedModel) -> torch.nn.Module:
        return model.backbone

    def trained(self, model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
        """The parameters that a training step changes, by name."""
        return dict(model.named_parameters())

    @torch.no_grad()
    def test_shapes(self, model, inputs):
        outputs = model(**inputs)
        assert outputs.logits.shape == (3, SIZE, SIZE)
        assert outputs.image_index.tolist() == [1, 0, 1]
        assert outputs.loss is None and torch.isfinite(outputs.logits).all()

    @torch.no_grad()
    def test_words_and_pixels_matter(self, model, inputs):
        answer = self.answer(model(**inputs))
        other_words = {**inputs, "input_ids": inputs["input_ids"].flip(1), "attention_mask": None}
        assert not torch.allclose(self.answer(model(**other_words))[2], answer[2])
        other_pixels = {**inputs, "pixel_values": inputs["pixel_values"].flip(-1)}
        assert not torch.allclose(self.answer(model(**other_pixels)), answer)

    @torch.no_grad()
    def test_save_and_load(self, model, inputs, tmp_path):
        model.save_pretrained(tmp_path)
        expected = model(**inputs).logits
        for auto_class in (AutoModel, AutoModelForReferringSegmentation):
            loaded, report = auto_class.from_pretrained(tmp_path, output_loading_info=True)
            assert type(loaded) is type(model)
            assert not any(report.values()), report
            # Copied, for the file's memory is not aligned, and there some kernels round the last bit differently.
            torch.testing.assert_close(copy.deepcopy(loaded)(**inputs).logits, expected, rtol=0, atol=0)

    @torch.no_grad()
    def test_batch_equals_single(self, model, inputs):
        together = model(**inputs).logits
        for row, image in enumerate(inputs["image_index"].tolist()):
            alone = model(
                **self.of_image(inputs, image), **{name: inputs[name][row, None] for name in self.word_inputs}
            ).logits
            torch.testing.assert_close(together[row, None], alone, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_many_expressions_equal_many_calls(self, model, inputs):
        image = self.of_image(inputs, 0)
        calls = []
        self.backbone(model).register_forward_hook(lambda *_: calls.append(1))
        words = {name: inputs[name] for name in self.word_inputs}
        together = model(**image, **words).logits
        assert len(calls) == 1, "several expressions on one image run its backbone once"
        features = model.get_image_features(**image)
        for row in range(3):
            alone = {name: value[row, None] for name, value in words.items()}
            torch.testing.assert_close(model(**image, **alone).logits[0], together[row], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(
                model(image_features=features, **alone).logits[0], together[row], rtol=1e-4, atol=1e-5
            )
        assert len(calls) == 5

    def test_training_path_equals_inference_path(self, model, inputs):
        with torch.no_grad():
            inferred = model(**inputs).logits
        torch.testing.assert_close(model(**inputs).logits, inferred, rtol=1e-4, atol=1e-5)

    def test_gradients(self, model, inputs, labels):
        model.train()
        outputs = model(**self.with_labels(inputs, labels))
        torch.testing.assert_close(outputs.loss, sum(outputs.losses.values()))
        outputs.loss.backward()
        trained = self.trained(model).items()
        without = [name for name, p in trained if p.grad is None or not torch.isfinite(p.grad).all()]
        assert not without, f"no finite gradient reaches {without}"

    def test_one_step_of_training_lowers_the_loss(self, model, inputs, labels):
        model.train()
        before = model(**self.with_labels(inputs, labels)).loss
        before.backward()
        parameters = list(self.trained(model).values())
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        torch.optim.SGD(parameters, lr=0.01 / norm.item()).step()  # the losses differ by orders of magnitude in scale
        assert model(**self.with_labels(inputs, labels)).loss < before

    def test_gradient_checkpointing_keeps_less_and_changes_nothing(self, inputs, labels):
        """Bytes that autograd keeps, parameters and the inputs of the layers aside; the gradients are the same."""
        kept, gradients = [], []
        for checkpointing in (False, True):
            torch.manual_seed(0)
            model = self.make_model().train()
            if not model.supports_gradient_checkpointing:
                pytest.skip(f"{type(model).__name__} has no gradient checkpointing")
            if checkpointing:
                model.gradient_checkpointing_enable()
            own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
            storages = {}

            def keep(tensor, own=own, storages=storages):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in own:
                    storages[storage.data_ptr()] = storage
                return tensor

            torch.manual_seed(1)
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss = model(**self.with_labels(inputs, labels)).loss
            kept.append(sum(storage.nbytes() for storage in storages.values()))
            loss.backward()
            gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        assert kept[1] < kept[0], kept
        assert set(gradients[0]) == set(gradients[1]) and gradients[0]
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, msg=name)

    def test_bf16(self, model, inputs, labels, tmp_path):
        """A model loaded in half precision takes the processor's float32 images and trains with a float32 loss."""
        model.save_pretrained(tmp_path)
        half = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        with torch.no_grad():
            exact, rounded = model(**inputs).logits, half(**inputs).logits
        assert rounded.dtype == torch.bfloat16
        assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()
        loss = half(**self.with_labels(inputs, labels)).loss
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(torch.isfinite(parameter.grad).all() for parameter in self.trained(half).values())

    def test_every_part_has_the_precision_that_is_asked_for(self, model, tmp_path):
        """Also parts of parts whose configuration says another one: that in which they were trained."""

        def trained_in_float32(config):
            config.dtype = torch.float32
            for name in config.sub_configs:
                trained_in_float32(getattr(config, name))

        trained_in_float32(model.config)
        model.save_pretrained(tmp_path)
        half = AutoModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        others = [name for name, parameter in half.named_parameters() if parameter.dtype != torch.bfloat16]
        assert not others, f"{others} are not in bfloat16"

    def test_autocast(self, model, inputs, labels):
        with torch.no_grad():
            exact = model(**inputs).logits
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(**self.with_labels(inputs, labels))
            with torch.no_grad():
                inferred = model(**inputs).logits
        for rounded in (outputs.logits, inferred):
            assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()
        outputs.loss.backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in self.trained(model).values())

    @torch.no_grad()
    def test_compiled_model_gives_the_same(self, model, inputs):
        expected = model(**inputs).logits
        compiled = torch.compile(model, backend="aot_eager")(**inputs).logits
        torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)

    def test_fully_sharded(self, model, inputs, labels):
        """FSDP over the modules that the model names, with one process: every part is called where it is gathered."""
        expected = model(**self.with_labels(inputs, labels)).loss
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        try:
            mesh = init_device_mesh("cpu", (1,))
            blocks = [block for block in model.modules() if type(block).__name__ in model._no_split_modules]
            for block in (*blocks, model):
                fully_shard(block, mesh=mesh)
            loss = model(**self.with_labels(inputs, labels)).loss
            loss.backward()
            without = [name for name, parameter in self.trained(model).items() if parameter.grad is None]
            with torch.no_grad():
                torch.testing.assert_close(
                    model(**self.with_labels(inputs, labels)).loss, expected, rtol=1e-4, atol=1e-5
                )
        finally:
            distributed.destroy_process_group()
        assert blocks and torch.equal(loss, expected)
        assert not without, f"no gradient reaches {without}"

    def test_training_after_inference_mode(self, model, inputs, labels):
        with torch.inference_mode():
            model(**inputs)
        model.train()
        model(**self.with_labels(inputs, labels)).loss.backward()
        assert all(parameter.grad is not None for parameter in self.trained(model).values())

    def test_export(self, model, inputs):
        program = torch.export.export(model, (), kwargs=inputs, strict=False)
        exported = program.module()(**inputs)
        with torch.no_grad():
            expected = model(**inputs).logits
        torch.testing.assert_close(exported.logits, expected, rtol=1e-4, atol=1e-5)

    def test_tuple_output(self, model, inputs):
        with torch.no_grad():
            assert torch.equal(model(**inputs, return_dict=False)[0], model(**inputs).logits)

    def test_copies_do_not_share_state(self, model, inputs):
        """A deep copy that is changed answers for itself, cached kernels included."""
        with torch.no_grad():
            before = model(**inputs).logits
            changed = copy.deepcopy(model)
            for parameter in self.backbone(changed).parameters():
                parameter.mul_(1.5)
            assert not torch.equal(changed(**inputs).logits, before)
            assert torch.equal(model(**inputs).logits, before)

    @torch.no_grad()
    def test_inference_leaves_nothing_behind(self, model, inputs):
        """What a forward keeps for the next one survives no change of the weights and enters no file."""
        size = len(pickle.dumps(model))
        before = model(**inputs).logits
        assert len(pickle.dumps(model)) == size
        rounded = model.bfloat16().float()
        fresh = type(model)(model.config).eval()
        fresh.load_state_dict(rounded.state_dict())
        assert torch.equal(rounded(**inputs).logits, fresh(**inputs).logits)
        assert not torch.equal(rounded(**inputs).logits, before)

    def test_rejects_ambiguous_images(self, model, inputs):
        with pytest.raises(ValueError, match="3 expressions for 2 images"):
            model(**{**inputs, "image_index": None})
        with pytest.raises(ValueError, match="names 2 expressions, input_ids holds 3"):
            model(**{**inputs, "image_index": torch.tensor([0, 1])})
        with pytest.raises(ValueError, match="needs input_ids"):
            model(pixel_values=inputs["pixel_values"])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_index": torch.tensor([0, 1, 2])}, "runs from 0 to 2, but there are 2 images"),
            ({"image_index": torch.tensor([0, 1, -1])}, "runs from -1 to 1, but there are 2 images"),
            ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"shape \(0, 4\); give at least one expression"),
            ({"input_ids": torch.zeros(3, 0, dtype=torch.long)}, r"shape \(3, 0\); give at least one expression"),
            ({"input_ids": torch.full((3, 4), VOCAB_SIZE)}, f"to {VOCAB_SIZE}, but .* 0 to {VOCAB_SIZE - 1}"),
            ({"attention_mask": torch.ones(3, 5)}, r"attention_mask has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, r"shape \(3, 64, 64\); give at least one image"),
            ({"labels": torch.zeros(3, 8, 8)}, r"labels has the shape \(3, 8, 8\), expected \(3, 64, 64\)"),
        ],
    )
    def test_rejects_inputs_that_do_not_fit(self, model, inputs, changes, message):
        if "input_ids" in changes:
            inputs["attention_mask"] = None
        with pytest.raises(ValueError, match=message):
            model(**{**inputs, **changes})

    def test_an_argument_that_nobody_reads_is_refused(self, model, inputs):
        name = type(model).__name__
        for call in (model, model.get_image_features, model.get_text_features):
            with pytest.raises(
                TypeError, match=f"{name} has no argument pixel_vales; its arguments are pixel_values, "
            ):
                call(**inputs, pixel_vales=inputs["pixel_values"])

    def test_what_nobody_can_return_is_said(self, model, inputs, caplog):
        with torch.no_grad():
            expected = model(**inputs).logits
            assert torch.equal(model(**inputs, output_hidden_states=True).logits, expected)
        assert "output_hidden_states changes nothing" in caplog.text

    @torch.no_grad()
    def test_images_beside_their_features_are_refused(self, model, inputs):
        images = {name: inputs[name] for name in ("pixel_values", "pixel_mask", "image_scales") if name in inputs}
        features = model.get_image_features(**inputs)
        words = {name: inputs[name] for name in (*self.word_inputs, "image_index")}
        for name, values in images.items():
            with pytest.raises(ValueError, match=f"image_features hold their images already: leave out {name}"):
                model(**words, image_features=features, **{name: values})

    # ---- With a GPU: pytest -m gpu ----

    @pytest.mark.gpu
    def test_a_gpu_gives_the_numbers_of_the_cpu(self, model, inputs, labels):
        """In float32 by torch's own kernels: cuDNN's round otherwise, and its LSTM has no gradient in evaluation."""
        with torch.no_grad():
            expected = model(**inputs).logits
        step = self.with_labels(inputs, labels)
        loss = model(**step).loss
        loss.backward()
        on_gpu = copy.deepcopy(model).cuda()
        on_gpu.zero_grad()
        with torch.backends.cudnn.flags(enabled=False):
            with torch.no_grad():
                found = on_gpu(**to_gpu(inputs)).logits
            loss_on_gpu = on_gpu(**to_gpu(step)).loss
            loss_on_gpu.backward()
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(loss_on_gpu.cpu(), loss, rtol=1e-3, atol=1e-4)
        gradients = {name: parameter.grad.cpu() for name, parameter in self.trained(on_gpu).items()}
        if self.draws_samples:  # by the generator of the device: two devices train on other samples
            assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
            return
        for name, parameter in self.trained(model).items():
            allowed = 2e-3 * parameter.grad.abs().max().item() + 1e-6
            assert (gradients[name] - parameter.grad).abs().max() < allowed, name

    @pytest.mark.gpu
    @pytest.mark.parametrize("way", ["half", "autocast"])
    def test_bf16_on_a_gpu(self, model, inputs, labels, way):
        with torch.no_grad():
            exact = model(**inputs).logits
        model.cuda()
        if way == "half":
            model.bfloat16()
        with torch.autocast("cuda", torch.bfloat16, enabled=way == "autocast"):
            with torch.no_grad():
                rounded = model(**to_gpu(inputs)).logits
            loss = model.train()(**to_gpu(self.with_labels(inputs, labels))).loss
        loss.backward()
        assert (rounded.float().cpu() - exact).abs().max() < 0.1 * exact.abs().max()
        assert loss.dtype == torch.float32
        assert all(torch.isfinite(parameter.grad).all() for parameter in self.trained(model).values())

    @pytest.mark.gpu
    def test_compiled_for_a_gpu(self, model, inputs):
        model.cuda()
        with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
            expected = model(**to_gpu(inputs)).logits
            compiled = torch.compile(model)(**to_gpu(inputs)).logits
        torch.testing.assert_close(compiled, expected, rtol=1e-3, atol=1e-4)

    def test_is_registered(self, model):
        assert hf_refseg.__version__
        assert AutoModel._model_mapping[type(model.config)] is type(model)
