"""Weights on one scale, masks crossed out."""

import re

import pytest
import torch

import companion
from companion import show
from companion.show.figures.frames import masked

STROKE = re.compile(
    r'<path d="M\S+ \S+L[\d.]+ [\d.]+" stroke="var\(--look-edge, #\w+\)"/>'
)


def strengths(panel):
    return [float(x) for x in re.findall(r"calc\(([\d.]+)\*", panel)]


def test_all_heads_have_one_scale_which_is_told():
    heads = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]])
    figure = show.weights_figure(heads, ["a"], ["x", "y"], "c")
    found = [strengths(panel) for panel in figure.panels]
    assert found == [pytest.approx([0.67, 0.67]), pytest.approx([0.33, 1])]
    assert "from 0 to 0.75" in figure.legend


@pytest.mark.parametrize("keys", [3, 9])
def test_what_has_no_weight_is_crossed_out(keys):
    weights = torch.eye(keys)
    names = [str(i) for i in range(keys)]
    (panel,) = show.weights_figure(weights, names, names, "c").panels
    assert len(STROKE.findall(panel)) == keys**2 - keys
    assert strengths(panel) == [1] * keys
    assert ">0.00<" not in panel


def test_a_mask_is_ones_and_strokes():
    (panel,) = show.mask_figure([("m", companion.causal_mask(2, 3))], "c").panels
    assert panel.count(">1<") == 5
    assert len(STROKE.findall(panel)) == 1
    assert STROKE.search(masked(0, 0, 30, 30))


def test_rows_are_queries_and_columns_keys_by_letter_and_line():
    (panel,) = show.mask_figure([("m", companion.causal_mask(2, 3))], "c").panels
    text = re.sub(r"<[^>]+>|\u200b", "", panel)
    assert text.startswith("m (2q, 3k)")
    assert "M2 32L2 92" in panel  # down, by the queries
    assert 'stroke-dasharray="6 3"' in panel  # across, by the keys


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([True, False, False], "key 0"),
        ([True, True, True], "keys 0 to 2"),
        ([True, False, True, True], "keys 0, 2 to 3"),
        ([False, False], "no key"),
    ],
)
def test_what_a_query_sees_is_said_in_words(seen, words):
    """Not as a row of digits, which is read as one number."""
    drawn = show.mask_figure([("m", torch.tensor([seen]))], "c").panels[0]
    assert f"m: 1 queries by {len(seen)} keys; query 0 sees {words}" in drawn


def test_weights_say_what_is_attended_most():
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    drawn = show.weights_figure(weights, ["the", "cat"], ["the", "cat"], "c").panels[0]
    assert "2 queries by 2 keys; the most the, 100%; cat most cat, 75%" in drawn
