"""The chapter's figure of what ranks hold, and what it has ranks do."""

import pytest
import tiny
import torch

from companion import show
from companion.parallel import predicted, run
from companion.parallel.examples import each, one_raises
from companion.parallel.pieces import Piece, pieces

LAYER = "model.layers.0."


def model():
    with torch.device("meta"):
        return tiny.LlamaForCausalLM(tiny.config(vocab_size=264))


@pytest.fixture(scope="module")
def ranks():
    """What two real ranks hold of a tiny Llama."""
    found = run(each, 2, [(pieces, (model(), 9))])
    return [each_of[0] for each_of in found]


def test_the_pieces_of_all_ranks_are_the_whole(ranks):
    for name, parameter in model().named_parameters():
        held = [parts[name] for parts, _ in ranks]
        assert {piece.whole for piece in held} == {tuple(parameter.shape)}
        covered = torch.zeros(parameter.shape)
        for piece in held:
            places = (
                slice(a, a + n) for a, n in zip(piece.first, piece.shape, strict=True)
            )
            covered[tuple(places)] += 1
        assert (covered == (2 if "norm" in name else 1)).all(), name


def test_pieces_know_how_they_are_cut(ranks):
    parts, cache = ranks[1]
    assert parts[f"{LAYER}self_attn.k_proj.weight"] == Piece((8, 16), (4, 0), (4, 16))
    assert parts[f"{LAYER}self_attn.k_proj.weight"].axis == 0
    assert parts[f"{LAYER}mlp.down_proj.weight"] == Piece((16, 24), (0, 12), (16, 12))
    assert parts[f"{LAYER}mlp.down_proj.weight"].axis == 1
    assert parts["model.norm.weight"].axis is None
    assert cache == (2, 1, 1, 9, 4)


def test_the_figure_tells_every_piece_and_sum(ranks):
    found = predicted(model().config, 2, 1, 9, torch.float32)
    held = [parts for parts, _ in ranks]
    figure = show.shares_figure(held, [x.after for x in found], "a caption")
    assert "k_proj (8, 16) by rows, on each rank (4, 16)" in figure.alt
    assert "down_proj (16, 24) by columns, on each rank (16, 12)" in figure.alt
    assert figure.alt.count("a sum over the ranks") == 2
    [drawn] = figure.panels
    # two in the legend, two norms, seven matrices and two pieces of each, two of two sums
    assert drawn.count("<rect") == 2 + 2 + 7 + 14 + 4
    assert "Σ" not in show.shares_figure(held, [], "").panels[0]


def test_more_ranks_than_tints(ranks):
    with pytest.raises(ValueError, match="5 ranks"):
        show.shares_figure([ranks[0][0]] * 5, [], "")


def test_a_rank_that_raises_is_named():
    with pytest.raises(RuntimeError, match="rank 1 of 2 ended: ArithmeticError: this"):
        run(one_raises, 2, torch.ones(3))
