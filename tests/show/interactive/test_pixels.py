"""Few cells for many values: the largest of each group, its sign kept, and what a page gets of it."""

import base64
import io

import numpy
import pytest
import torch
from PIL import Image

from companion.show.interactive.pixels import image, levels, packed, pooled


@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 5), (5, 64), (16, 16), (17, 40), (576, 1536), (3, 577)]
)
def test_each_cell_is_the_largest_of_its_group(shape):
    values = torch.randn(shape)
    small = pooled(values)
    assert small.shape == tuple(min(size, 16) for size in shape)
    rows, columns = (torch.arange(size).tensor_split(min(size, 16)) for size in shape)
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            group = values[r[0] : r[-1] + 1, c[0] : c[-1] + 1]
            assert small[i, j].abs() == group.abs().max()
            assert (group == small[i, j]).any()


def test_levels_go_from_the_lowest_to_the_largest_and_mark_what_is_masked():
    values = torch.tensor([-6.0, -3.0, -1.5, 0.0, 0.011, 3.0, 99.0, -torch.inf])
    assert levels(values, 3.0).tolist() == [-127, -127, -64, 0, 0, 127, 127, -128]
    assert levels(torch.zeros(3), 0.0).tolist() == [0, 0, 0]


def test_a_picture_is_read_back_as_it_was():
    cells = levels(torch.randn(33, 72), 3.0)
    data = base64.b64decode(image(cells).removeprefix("data:image/png;base64,"))
    gray = numpy.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert (gray - 128 == cells.numpy()).all()
    assert base64.b64decode(packed(cells)) == cells.numpy().tobytes()
