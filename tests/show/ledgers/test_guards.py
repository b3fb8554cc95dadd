"""Guards of `companion.refusals` are passed over: what they let through is shown as if
nothing had been before it.
"""

from pathlib import Path

import pytest
import torch

import companion
from companion import attention, scaled_dot_product_attention, show
from companion.show import example

# compiled under the names of the room's files: its decorator, and a guard
DECORATOR = """
import functools

def refuses(guard):
    def decorated(function):
        @functools.wraps(function)
        def guarded(*arguments, **options):
            refused = guard(*arguments, **options)
            return function(*arguments, **options)
        return guarded
    return decorated
"""
GUARD = """
def looks(query, key, *others, **options):
    seen = split_heads(query, 1)
    return seen.isnan()

def raises(query, key, *others, **options):
    split_heads(query, 2)
"""
room = {"split_heads": companion.split_heads}
for name, code in (("__init__", DECORATOR), ("attention", GUARD)):
    file = Path(companion.__file__).parent / "refusals" / f"{name}.py"
    exec(compile(code, str(file), "exec"), room)
refuses, looks, raises = (room[name] for name in ("refuses", "looks", "raises"))


def nothing(*arguments, **options):
    """A guard elsewhere that costs nothing."""


def carried():
    x = example.tokens()
    return tuple(x @ weight for weight in example.weights())


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_rows_are_those_without_the_decorator(monkeypatch, depth):
    plain = show.ledger(scaled_dot_product_attention, *carried(), depth=depth)
    inner = refuses(nothing)(attention.attention_weights)
    monkeypatch.setattr(attention, "attention_weights", inner)
    outer = refuses(nothing)(scaled_dot_product_attention)
    assert show.ledger(outer, *carried(), depth=depth).rows == plain.rows


def test_a_guard_has_no_rows_and_what_it_looks_at_is_paid_for(monkeypatch):
    plain = show.ledger(scaled_dot_product_attention, *carried(), depth=1)
    inner = refuses(looks)(attention.attention_weights)
    monkeypatch.setattr(attention, "attention_weights", inner)
    guarded = show.ledger(scaled_dot_product_attention, *carried(), depth=1)
    assert [s.source for s in guarded.steps] == [s.source for s in plain.steps]
    assert [s.depth for s in guarded.steps] == [s.depth for s in plain.steps]
    assert guarded.total.bytes_read > plain.total.bytes_read
    assert guarded.steps[0].bytes_read > plain.steps[0].bytes_read
    after = [[step.cost for step in each.steps[1:]] for each in (guarded, plain)]
    assert after[0] == after[1]


def test_after_a_refusal_all_is_as_before():
    refused = refuses(raises)(attention.attention_weights)

    def tries(query, key, value):
        with pytest.raises(ValueError, match="3"):
            refused(query, key)
        return scaled_dot_product_attention(query, key, value)

    plain = show.ledger(scaled_dot_product_attention, *carried(), depth=1)
    assert show.ledger(tries, *carried(), depth=1).rows == plain.rows


HERE = __file__.removesuffix("test_guards.py")


@refuses(
    nothing,
)
def doubled(x):
    y = x + x
    return y + 0


def test_the_lines_of_a_decorated_function_are_its_own():
    found = show.ledger(doubled, torch.ones(2), package=HERE)
    assert [(s.depth, s.source) for s in found.steps] == [
        (0, "y = x + x"),
        (0, "return y + 0"),
    ]


def test_the_source_is_the_functions_with_its_decorator():
    shown = show.source(doubled)
    assert shown.files == ["tests/show/ledgers/test_guards.py"]
    assert shown.text.startswith("@refuses(\n    nothing,\n)\ndef doubled(x):\n")
    assert "refused" not in shown.text
