"""What a layer's steps cost, as polynomials: those on file are those of today's ledgers."""

import json

import pytest
import torch

from companion.show.ledgers.polynomials import (
    DTYPES,
    MODELS,
    PHASES,
    POINTS,
    evaluated,
    fitted,
    layer_ledger,
    phase,
    phase_polynomials,
    recorded,
    step_costs,
)

# In each phase a point where nothing was fitted.
ELSEWHERE = (3, 1, 77), (3, 6, 6), (3, 5, 70), (1, 31, 31), (1, 4, 33)


@pytest.mark.parametrize("lengths", ELSEWHERE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_the_file_is_what_the_ledgers_give_today(model, dtype, lengths):
    """`python -m companion.show.ledgers.polynomials` writes it again."""
    fresh = step_costs(MODELS[model], lengths, getattr(torch, dtype))
    steps = recorded()[model][dtype][phase(*lengths)]
    found = {
        name: tuple(evaluated(terms, lengths) for terms in kinds)
        for name, kinds in steps.items()
    }
    assert found == fresh


def test_these_are_points_of_all_phases():
    assert {phase(*lengths) for lengths in ELSEWHERE} == {*PHASES}
    assert not {*ELSEWHERE} & {point for points in POINTS.values() for point in points}


def test_fitting_gives_what_is_on_file():
    fresh = phase_polynomials(MODELS["SmolLM2"], torch.bfloat16, "decode")
    on_file = recorded()["SmolLM2"]["bfloat16"]["decode"]
    assert json.loads(json.dumps(fresh)) == on_file


@pytest.mark.parametrize(
    "lengths", [(1, 1, 1), (1, 17, 17), (2, 3, 1000), (64, 1, 4096), (1, 2, 3)]
)
def test_the_steps_add_up_to_the_layer(lengths):
    """At points where nothing was fitted, and one level down or not."""
    whole = layer_ledger(MODELS["SmolLM2"], lengths, torch.bfloat16, depth=0).total
    steps = recorded()["SmolLM2"]["bfloat16"][phase(*lengths)].values()
    assert sum(evaluated(flops, lengths) for flops, _ in steps) == whole.flops
    moved = sum(evaluated(moved, lengths) for _, moved in steps)
    assert moved == whole.bytes_moved


def test_what_is_no_polynomial_is_refused():
    terms, points = [(0, 0, 0), (1, 0, 0)], [(1, 1, 1), (2, 1, 1), (3, 1, 1)]
    assert fitted(terms, points, [5, 7, 9]) == [(3, 0, 0, 0), (2, 1, 0, 0)]
    with pytest.raises(ValueError, match=r"no polynomial in .*: 10 at \(3, 1, 1\)"):
        fitted(terms, points, [5, 7, 10])
    with pytest.raises(ValueError, match="no whole numbers"):
        fitted(terms, [(1, 1, 1), (3, 1, 1)], [1, 2])
