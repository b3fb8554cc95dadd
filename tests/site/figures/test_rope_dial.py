"""The RoPE dial turns as the package turns: every pairing, every scaling, far positions too."""

import math
import random

import pytest
import torch

import companion
from companion import apply_rope, show
from companion.exercises.rope import rope_interleaved
from companion.rope import half_from_interleaved, rope_cos_sin
from companion.show.interactive.rope_dial import FACTOR, SCALINGS, THETA, TRAINED

LONGEST = int(FACTOR) * TRAINED
ROTATIONS = {"halves": apply_rope, "neighbors": rope_interleaved}


@pytest.fixture(scope="module")
def figure():
    return show.rope_dial(*companion.load(), caption="One query, one key.")


@pytest.fixture
def dial(open_figure, figure):
    return open_figure(figure)


def angles(position, name):
    """cos and sin of one position of a long text, by the package."""
    _, scaling = SCALINGS[name]
    # The dynamic scaling looks at the longest position of its call.
    positions = torch.tensor([[position, LONGEST - 1]])
    if name == "dynamic" and position >= LONGEST:
        frequencies = scaling.frequencies(64, THETA, torch.tensor([LONGEST - 1]))
        angle = torch.cat((position * frequencies, position * frequencies))
        return angle.cos()[None, None], angle.sin()[None, None]
    return (x[:, :1] for x in rope_cos_sin(positions, 64, THETA, scaling=scaling))


def turned(x, position, name, pairing):
    return ROTATIONS[pairing](x[None, None, None], *angles(position, name))[0, 0, 0]


@pytest.mark.parametrize("name", SCALINGS)
def test_turns_as_the_package_turns(dial, figure, name):
    draw = random.Random(name)
    positions = [0, 1, 2, 8191, 8192, LONGEST - 1, 1_000_000, 2**24]
    positions += [draw.randrange(LONGEST) for _ in range(40)]
    given = [
        torch.randn(64, generator=torch.Generator().manual_seed(n)) for n in positions
    ]
    scaling = figure.trace["scalings"][name]
    for pairing in ROTATIONS:
        cases = list(zip(given, positions, strict=True))
        calls = [(x.double().tolist(), n, scaling, pairing) for x, n in cases]
        for (x, n), mine in zip(cases, dial.each("rotate", calls), strict=True):
            right, said = turned(x, n, name, pairing), f"position {n}, {pairing}"
            torch.testing.assert_close(
                torch.tensor(mine), right, rtol=0, atol=2e-6, msg=said
            )


@pytest.mark.parametrize("name", SCALINGS)
def test_scores_as_the_package_scores(dial, figure, name):
    scaling, draw = figure.trace["scalings"][name], random.Random(name)
    query, key = (torch.tensor(figure.trace[side]) for side in ("query", "key"))
    for _ in range(40):
        m, n = draw.randrange(LONGEST), draw.randrange(LONGEST)
        right = turned(query, m, name, "halves") @ turned(key, n, name, "halves") / 8
        given = query.tolist(), key.tolist(), m, n, scaling
        pairings = "halves", "neighbors", "mixed"
        met, permuted, mixed = dial.each("meet", [(*given, each) for each in pairings])
        assert met["score"] == pytest.approx(right.item(), abs=2e-5)
        added = turned(query, m, name, "halves") * turned(key, n, name, "halves")
        assert met["adds"] == pytest.approx(
            added.unflatten(0, (2, 32)).sum(0).tolist(), abs=2e-5
        )
        assert permuted["score"] == met["score"]  # the same products, stored elsewhere
        wrong = turned(query, m, name, "neighbors") @ turned(key, n, name, "neighbors")
        assert mixed["score"] == pytest.approx(wrong.item() / 8, abs=2e-5)


def test_the_permutation_is_the_packages(dial):
    x = torch.arange(64.0)
    neighbors = torch.tensor(dial.static("permuted", x.tolist())).float()
    torch.testing.assert_close(half_from_interleaved(neighbors[:, None], 1)[:, 0], x)


def test_the_query_and_the_key_are_the_models(figure):
    """What the first layer's projections give while the model runs: head 3 of 9, its key head of 3."""
    model, tokenizer = companion.load()
    layer, heard = model.model.layers[0].self_attn, {}
    hooks = [
        getattr(layer, name).register_forward_hook(
            lambda module, inputs, out, name=name: heard.update({name: out[0]})
        )
        for name in ("q_proj", "k_proj")
    ]
    ids = tokenizer.encode("The capital of France is")
    with torch.inference_mode():
        model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    right = heard["q_proj"][-1, 192:256], heard["k_proj"][-2, 64:128]
    for side, tensor in zip(("query", "key"), right, strict=True):
        told = torch.tensor(figure.trace[side])
        torch.testing.assert_close(told, tensor, rtol=0, atol=5.1e-3)
    assert [tokenizer.decode([i]).strip() for i in ids[:-3:-1]] == figure.trace["names"]


def test_the_frequencies_are_the_packages(figure):
    for name, (_, scaling) in SCALINGS.items():
        told = figure.trace["scalings"][name]
        right = scaling.frequencies(64, THETA, torch.arange(LONGEST))
        assert torch.tensor(told["frequencies"]).equal(right)
        assert told["magnitude"] == pytest.approx(scaling.magnitude, abs=1e-7)


def test_the_score_depends_on_the_distance_alone(dial):
    before = dial.evaluate("figure => figure.made.score")
    for name in ("both +1", "both +100", "both +100"):
        dial.role("button", name).click()
    state = dial.evaluate("figure => figure.state")
    assert (state["m"], state["n"]) == (213, 205)
    assert dial.evaluate("figure => figure.made.score") == pytest.approx(
        before, abs=1e-4
    )
    assert "float32" not in dial.readout
    dial.evaluate("figure => figure.set({m: 1_000_008, n: 1_000_000})")
    assert "as float32 rounds angles so large" in dial.readout
    dial.evaluate("figure => figure.set({m: 213, n: 205})")
    for _ in range(3):
        dial.role("button", "both −100").click()
    state = dial.evaluate("figure => figure.state")
    assert (state["m"], state["n"]) == (8, 0)  # and not before the start


def test_the_first_state_is_the_still_pictures(dial, figure):
    score = dial.evaluate("figure => figure.made.score")
    row = figure.table.rows[0]
    assert row[1] == 8
    assert float(row[2]) == pytest.approx(score, abs=6e-4)
    assert f"score {score:.2f}" in figure.still.alt
    assert f"score {score:.3f}".replace("-", "−") in dial.readout


def test_a_pair_is_picked_with_the_keyboard(dial):
    cells = dial.page.get_by_role("gridcell")
    cells.nth(0).focus()
    dial.page.keyboard.press("ArrowDown")
    dial.page.keyboard.press("ArrowRight")
    assert dial.evaluate("figure => figure.state.pair") == 9
    assert "Pair 9, features 9 and 41" in dial.readout
    dial.page.get_by_label("neighbors: 2i and 2i + 1, rows permuted").check()
    assert "Pair 9, features 18 and 19" in dial.readout


def test_a_wrong_pairing_says_so(dial):
    dial.page.get_by_label("neighbors, rows not permuted (wrong)").check()
    assert "another score, and no error" in dial.readout


@pytest.mark.parametrize("name", SCALINGS)
def test_the_curve_has_the_dot_on_it(dial, name):
    label = SCALINGS[name][0]
    dial.page.get_by_label(label, exact=True).check()
    for m, n in ((12, 4), (4, 12), (5000, 3), (1_000_000, 999_990)):
        dial.evaluate("(figure, [m, n]) => figure.set({m, n})", [m, n])
        lines = dial.evaluate("figure => figure.plotted.lines.at(-1)")
        score = dial.evaluate("figure => figure.made.score")
        (near, there), *_ = sorted(lines, key=lambda point: abs(point[0] - m + n))
        if near == m - n:  # far out not every distance is on the curve
            assert there == pytest.approx(score, abs=0.05)
        assert lines[0][0] == -lines[-1][0]
        assert abs(m - n) <= lines[-1][0]
    assert not dial.complaints


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "invalid literal for int() with base 10: ''"),
        ("two", "invalid literal for int() with base 10: 'two'"),
        ("1.5", "invalid literal for int() with base 10: '1.5'"),
        ("1e3", "invalid literal for int() with base 10: '1e3'"),
        ("nan", "invalid literal"),
        ("-1", "-1 is out of range: from 0 to 16,777,216"),
        ("16777217", "out of range"),
        ("9" * 10000, "out of range"),
        ("<b>1</b>", "invalid literal"),
    ],
)
def test_what_is_no_position_is_refused_and_changes_nothing(dial, typed, why):
    before = dial.evaluate("figure => figure.state")
    field = dial.page.get_by_label("query “is” at m =")
    field.fill(typed)
    assert dial.refused
    assert why in dial.readout
    assert len(dial.readout) < 200
    assert dial.evaluate("figure => figure.state") == before
    field.fill("1_000_000")
    assert not dial.refused
    assert dial.evaluate("figure => figure.state.m") == 1_000_000
    assert math.isfinite(dial.evaluate("figure => figure.made.score"))
    assert not dial.complaints
