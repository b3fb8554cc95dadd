"""Thumbnails ink every weight that is strong enough, in one tint."""

import re

import pytest
import torch

from companion.show.figures.thumbnails import TINTS, layers_across, thumbnails

LAYERS, HEADS, LENGTH = 18, 3, 7


@pytest.fixture
def weights():
    drawn = 3 * torch.randn(LAYERS, HEADS, LENGTH, LENGTH)
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    return drawn.masked_fill(later, -torch.inf).softmax(-1)


def cells(path):
    """The cells (x, y) that the lines of a path go down."""
    for x, top, end in re.findall(r"M(\d+) (\d+)V(\d+)", path):
        yield from ((int(x), y) for y in range(int(top), int(end)))


def test_every_cell_has_its_tint(weights):
    paths = re.findall(r'<path d="([^"]*)"', thumbnails(weights))[1:]
    across, apart, found = layers_across(LAYERS), LENGTH + 2, torch.zeros_like(weights)
    for path, lowest in zip(paths, TINTS, strict=True):
        for x, y in cells(path):
            band, inside = divmod(y, (HEADS + 1) * apart)
            layer, head = band * across + x // apart, inside // apart
            assert found[layer, head, inside % apart, x % apart] == 0
            found[layer, head, inside % apart, x % apart] = lowest
    expected = torch.zeros_like(weights)
    for lowest in TINTS:
        expected[weights >= lowest] = lowest
    torch.testing.assert_close(found, expected)


def test_bands_are_named(weights):
    drawn = thumbnails(weights)
    assert ">layers 0 to 8<" in drawn
    assert ">layers 9 to 17<" in drawn


@pytest.mark.parametrize(
    ("layers", "across"), [(1, 1), (16, 16), (17, 9), (30, 15), (33, 11)]
)
def test_bands_are_as_even_as_they_can_be(layers, across):
    assert layers_across(layers) == across
