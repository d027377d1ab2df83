import pytest
import torch

from hf_refseg.layers.image_geometry import ImageGeometry
from hf_refseg.layers.image_index import resolve_image_index
from hf_refseg.layers.inputs import check_expressions, check_labels, check_pixel_values, input_dtype

IDS, PIXELS = torch.tensor([[1, 2, 3], [1, 0, 0]]), torch.zeros(1, 3, 8, 8)


def test_the_numbers_that_a_layer_takes():
    layer = torch.nn.Linear(4, 4)
    assert input_dtype(layer) == torch.float32 and input_dtype(layer.to(torch.bfloat16)) == torch.bfloat16
    packed = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(4, 4)), {torch.nn.Linear})
    assert input_dtype(packed[0]) == torch.float32
    layer.weight = torch.nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
    assert input_dtype(layer) == torch.float32


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS.numpy(), "pixel_values is a ndarray; give a tensor"),
        (PIXELS[:, :1], r"\(1, 1, 8, 8\); give at least one image as \(B, 3, H, W\)"),
        (PIXELS.permute(0, 2, 3, 1), r"\(1, 8, 8, 3\); give"),
        (PIXELS[0], r"\(3, 8, 8\); give"),
        (PIXELS.byte(), "pixel_values is of torch.uint8; the processor makes floats"),
        (PIXELS / 0, "pixel_values hold nan or inf"),
        (PIXELS.to_sparse(), "pixel_values is a tensor of layout torch.sparse_coo; give a dense one"),
        (PIXELS + torch.inf, "pixel_values hold nan or inf"),
    ],
)
def test_pixels_of_no_image(pixels, message):
    check_pixel_values(PIXELS)
    with pytest.raises((ValueError, TypeError), match=message):
        check_pixel_values(pixels)


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (IDS.tolist(), None, "input_ids is a list; give a tensor"),
        (IDS.float(), None, "input_ids is of torch.float32; ids are whole numbers"),
        (IDS.bool(), None, "input_ids is of torch.bool"),
        (IDS.to_sparse(), None, "input_ids is a tensor of layout torch.sparse_coo"),
        (IDS, torch.tensor([[1, 1, 1], [0, 0, 0]]), "expression 1 has no word: its attention_mask is 0 everywhere"),
        (IDS, torch.zeros(2, 3), "expression 0 has no word"),
        (IDS, torch.ones(2, 3).numpy(), "attention_mask is a ndarray"),
        (IDS, torch.full((2, 3), 2), "attention_mask holds values from 2 to 2; it is 1 on words"),
        (IDS, torch.tensor([[1.0, 1, 1], [0, -1e9, 1]]), "attention_mask holds values from -1e.09 to 1;"),
        (IDS, torch.ones(2, 2), r"attention_mask has the shape \(2, 2\)"),
        (IDS + 7, None, "input_ids runs from 7 to 10, but the model knows the words 0 to 8"),
    ],
)
def test_words_of_no_expression(ids, mask, message):
    check_expressions(IDS, torch.ones(2, 3, dtype=torch.bool), 9)
    with pytest.raises((ValueError, TypeError), match=message):
        check_expressions(ids, mask, 9)


@pytest.mark.parametrize("value", [0.3, 255, float("nan"), -1])
def test_labels_of_no_mask(value):
    logits = torch.zeros(1, 4, 4)
    for kind in (torch.float32, torch.bool, torch.int64):
        check_labels(torch.ones(1, 4, 4, dtype=kind), logits)
    with pytest.raises(ValueError, match="labels hold values from .* a mask holds 0 and 1"):
        check_labels(torch.full((1, 4, 4), value), logits)
    with pytest.raises(TypeError, match="labels is a ndarray"):
        check_labels(torch.ones(1, 4, 4).numpy(), logits)


@pytest.mark.parametrize("index", [torch.tensor([0.0, 0.0]), torch.tensor([[0, 0]]), [0, 0], torch.tensor([0, 1])])
def test_an_index_of_no_images(index):
    with pytest.raises((ValueError, TypeError), match="image_index"):
        resolve_image_index(index, 1, 2, torch.device("cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_mask": torch.ones(1, 3, 3)}, r"pixel_mask has the shape \(1, 3, 3\), pixel_values \(1, 3, 8, 8\)"),
        ({"pixel_mask": torch.zeros(1, 8, 8)}, "pixel_mask is 0 everywhere in image 0"),
        ({"original_sizes": [[0, 8]], "image_scales": [1.0]}, r"original_sizes are \[\[0, 8\]\]"),
        ({"original_sizes": [[8, 8]], "image_scales": [0.0]}, "image_scales .0.0.: all are above 0"),
        ({"original_sizes": [[8, 8]], "image_scales": [float("nan")]}, "image_scales .nan."),
    ],
)
def test_sizes_of_no_image(options, message):
    with pytest.raises(ValueError, match=message):
        ImageGeometry.of(PIXELS, **options)
