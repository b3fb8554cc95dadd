"""The texts that are kept are those that SmolLM2 writes."""

import dataclasses

import pytest
from weekly import mostly

from companion.exercises import FAULTS
from companion.exercises.planting import Planted
from companion.show.planted import RIGHT, Text, kept, write

NAMES = [n for n, fault in FAULTS.items() if isinstance(fault.planted, Planted)]


def test_there_is_a_text_for_each_planted_fault():
    assert list(kept()) == [RIGHT, *NAMES]


@pytest.mark.parametrize(
    "name", mostly([RIGHT, *NAMES], RIGHT, "rope_interleaved", "mask_off_by_one")
)
def test_it_is_written_again(bundled, name):
    again, before = write(*bundled, name), kept()[name]
    assert (again.words, again.pieces, again.tokens) == (
        before.words,
        before.pieces,
        before.tokens,
    )
    assert again.nats == pytest.approx(before.nats, abs=0.02)
    assert (again.moved is None) == (before.moved is None)
    assert (again.moved or 0) == pytest.approx(before.moved or 0, rel=0.05, abs=1e-3)


@pytest.mark.parametrize("name", kept())
def test_the_likeliest_token_is_far_enough_ahead_to_be_so_elsewhere(name):
    assert kept()[name].margin is None or kept()[name].margin > 1e-3


def test_what_is_not_planted_is_not_written(bundled):
    with pytest.raises(
        ValueError, match="key_not_transposed is not planted: it raises"
    ):
        write(*bundled, "key_not_transposed")


@pytest.mark.parametrize(
    ("changes", "kind", "right"),
    [
        ({}, "the right text", 12),
        ({"moved": None}, "NaN", 12),
        ({"tokens": [6376, 28] + 10 * [5]}, "one token for ever", 2),
        ({"tokens": 5 * [6376, 28] + [7, 8]}, "fluent, but another text", 2),
        ({"tokens": 5 * [28, 6376] + [7, 8], "nats": 2.6}, "noise", 0),
    ],
)
def test_a_text_is_of_a_kind(changes, kind, right):
    text: Text = dataclasses.replace(kept()[RIGHT], **changes)
    assert (text.kind, text.right_tokens) == (kind, right)
