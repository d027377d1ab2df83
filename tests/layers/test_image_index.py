"""Rows by their images."""

import pytest
import torch

from hf_refseg.layers.image_index import places_in_images, resolve_image_index


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_of_any_type_name_images(dtype):
    index = resolve_image_index(torch.tensor([1, 0, 1], dtype=dtype), 2, 3, torch.device("cpu"))
    assert index.tolist() == [1, 0, 1] and index.dtype == torch.int64


def test_rows_are_numbered_within_their_image():
    places, most = places_in_images(torch.tensor([1, 0, 1, 3, 1, 0]))
    assert places.tolist() == [0, 0, 1, 0, 2, 1]
    assert most == 3


def test_no_rows_have_no_places():
    places, most = places_in_images(torch.zeros(0, dtype=torch.long))
    assert places.shape == (0,) and most == 0


def test_where_values_are_hidden_every_row_has_a_place_of_its_own():
    places = torch.compile(lambda index: places_in_images(index)[0], backend="eager", fullgraph=True)
    assert places(torch.tensor([1, 0, 1])).tolist() == [0, 1, 2]


def test_an_exported_graph_numbers_as_many_rows_as_it_is_given():
    class Numbers(torch.nn.Module):
        def forward(self, image_index):
            return places_in_images(image_index)[0]

    rows = torch.zeros(3, dtype=torch.long)
    program = torch.export.export(Numbers(), (rows,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    assert program.module()(torch.zeros(5, dtype=torch.long)).tolist() == [0, 1, 2, 3, 4]
