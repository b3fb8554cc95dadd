"""What a layer's steps cost, as polynomials: those on file are those of today's ledgers."""

import json

import pytest
import torch

from companion.show.ledgers.polynomials import (
    DTYPES,
    MODELS,
    evaluated,
    fitted,
    layer_ledger,
    phase,
    recorded,
    step_costs,
    step_polynomials,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_the_file_is_what_the_ledgers_give_today(model, dtype):
    """`python -m companion.show.ledgers.polynomials` writes it again."""
    fresh = step_polynomials(MODELS[model], getattr(torch, dtype))
    assert json.loads(json.dumps(fresh)) == recorded()[model][dtype]


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


def test_each_step_is_the_ledgers():
    lengths = (3, 5, 70)
    fresh = step_costs(MODELS["Llama 3 8B"], lengths, torch.float32)
    steps = recorded()["Llama 3 8B"]["float32"]["chunk"]
    found = {
        name: tuple(evaluated(terms, lengths) for terms in kinds)
        for name, kinds in steps.items()
    }
    assert found == fresh


def test_what_is_no_polynomial_is_refused():
    terms, points = [(0, 0, 0), (1, 0, 0)], [(1, 1, 1), (2, 1, 1), (3, 1, 1)]
    assert fitted(terms, points, [5, 7, 9]) == [(3, 0, 0, 0), (2, 1, 0, 0)]
    with pytest.raises(ValueError, match=r"no polynomial in .*: 10 at \(3, 1, 1\)"):
        fitted(terms, points, [5, 7, 10])
    with pytest.raises(ValueError, match="no whole numbers"):
        fitted(terms, [(1, 1, 1), (3, 1, 1)], [1, 2])
