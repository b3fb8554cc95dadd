"""The roofline explorer counts what ledgers count, and finds the batch where decode turns."""

import math
import random
import statistics

import pytest
import torch

from companion import show
from companion.show.interactive.roofline_explorer import machines
from companion.show.ledgers.polynomials import MODELS, step_costs
from companion.show.measurements.roofline import Roofline

MACHINES = machines()
# Names that a line leads through to another one, or that end outside.
CROSSED = """figure => {
  const plane = figure.roof.firstChild, right = plane.getBoundingClientRect().right + 1;
  const box = node => node.getBoundingClientRect(), all = what => [...plane.querySelectorAll(what)];
  const lines = all(".lead:not([stroke-dasharray])").map(box);
  const names = all("text[text-anchor=start]").slice(1).map(node => [node.textContent, box(node)]);
  const through = name => lines.some(
    ({left, bottom}) => left > name.left + 2 && left < name.right - 2 && bottom > name.top + 4);
  return names.filter(([, box]) => box.right > right || through(box)).map(([name]) => name);
}"""
DRAWN = """figure => {
  const all = what => [...figure.roof.querySelectorAll(what)];
  const at = (node, ...names) => names.map(name => +node.getAttribute(name));
  const ticks = all("text").map(node => [node.textContent, ...at(node, "x", "y")]);
  return {ticks, dots: all("circle").map(node => at(node, "cx", "cy"))};
}"""


@pytest.fixture(scope="module")
def figure():
    return show.roofline_explorer("A layer under a roof.")


@pytest.fixture
def explorer(open_figure, figure):
    return open_figure(figure)


def lengths(seed):
    """A batch and two lengths: single tokens, whole prompts, chunks."""
    draw = random.Random(seed)
    q, kv = sorted((draw.randrange(2, 600), draw.randrange(2, 3000)))
    q = (1, q, kv)[seed % 3]
    return draw.choice((1, 2, 5, 64)), q, kv


def named(batch, q, kv):
    return {"batch": batch, "q": q, "kv": kv}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("model", MODELS)
def test_steps_cost_what_fresh_ledgers_say(explorer, figure, model, machine):
    told = MACHINES[machine]
    ceilings = Roofline(told["flops"], told["bytes"])
    costs = figure.trace["models"][model][told["dtype"]]
    first = 6 * (list(MODELS).index(model) * 4 + list(MACHINES).index(machine))
    for at in map(lengths, range(first, first + 6)):
        fresh = step_costs(MODELS[model], at, getattr(torch, told["dtype"]))
        found = explorer.static("steps", costs, named(*at), told)
        assert {s["name"]: (s["flops"], s["bytes"]) for s in found} == fresh, at
        for step in found:
            least = ceilings.seconds(*fresh[step["name"]])
            assert step["seconds"] == pytest.approx(least, rel=1e-12)
            flops, moved = fresh[step["name"]]
            bound = "FLOPs" if flops > ceilings.ridge * moved else "bytes"
            assert step["bound"] == bound


@pytest.mark.parametrize("machine", MACHINES)
def test_the_batch_at_which_flops_take_over(explorer, figure, machine):
    """Of the whole layer, by ledgers at that batch and at the one before."""
    told, model = MACHINES[machine], "Llama 3 8B"
    ceilings = Roofline(told["flops"], told["bytes"])
    costs = figure.trace["models"][model][told["dtype"]]

    def computes(batch, q, kv):
        dtype = getattr(torch, told["dtype"])
        steps = step_costs(MODELS[model], (batch, q, kv), dtype).values()
        flops, moved = (sum(kind) for kind in zip(*steps, strict=True))
        return flops > ceilings.ridge * moved

    for q, kv in ((1, 16), (1, 512), (1, 4096), (4, 512)):
        found = explorer.static("crossover", costs, {"q": q, "kv": kv}, told)
        if found is None:
            assert not computes(10**6, q, kv)
        else:
            assert computes(found, q, kv)
            assert found == 1 or not computes(found - 1, q, kv)


def test_decode_turns_later_the_higher_the_ridge_and_the_longer_the_text(
    explorer, figure
):
    def at(machine, kv):
        told = MACHINES[machine]
        costs = figure.trace["models"]["Llama 3 8B"][told["dtype"]]
        return explorer.static("crossover", costs, {"q": 1, "kv": kv}, told)

    assert at("cpu-float32", 16) < at("cpu-bfloat16", 16) < at("H200", 16)
    assert at("cpu-bfloat16", 16) < at("cpu-bfloat16", 512)
    assert at("H200", 4096) is None  # each text brings its cache


def test_machines_are_the_raw_files(figure):
    raw, gpu = show.measured("roofline"), show.measured("gpu")
    for dtype in ("float32", "bfloat16"):
        told, roof = MACHINES[f"cpu-{dtype}"], show.machine_roofline(raw, dtype)
        assert told["flops"] == pytest.approx(roof.flops_per_second, rel=1e-3)
        assert told["bytes"] == pytest.approx(roof.bytes_per_second, rel=1e-3)
    product, copy = (gpu["cases"][x] for x in ("matmul ceiling", "copy bandwidth"))
    median = [
        min(map(statistics.median, c["seconds"].values())) for c in (product, copy)
    ]
    assert MACHINES["H200"]["flops"] == pytest.approx(
        product["flops"] / median[0], 1e-3
    )
    assert MACHINES["H200"]["bytes"] == pytest.approx(copy["bytes"] / median[1], 1e-3)
    labels = [each["label"] for each in figure.trace["machines"].values()]
    assert [label.endswith("(published)") for label in labels] == [0, 0, 0, 1]


def test_the_first_state_is_the_still_pictures(explorer, figure):
    made = explorer.evaluate("figure => figure.made")
    rows = [row for row in figure.table.rows if row[0] == "one token after 511"]
    assert [step["name"] for step in made] == [row[1] for row in rows]
    assert [step["bound"] for step in made] == [row[4] for row in rows]
    for step, row in zip(made, rows, strict=True):
        least = float(row[5].replace(",", ""))
        assert 1e6 * step["seconds"] == pytest.approx(least, abs=0.051)
    assert "100% of that are steps bound by bytes" in explorer.readout


def test_a_batch_makes_decode_bound_by_flops(explorer):
    assert "the products with weights from batch 13 on" in explorer.readout
    explorer.role("button", "64 texts, a token each").click()
    bound = {s["name"]: s["bound"] for s in explorer.evaluate("f => f.made")}
    assert bound["feed-forward"] == "FLOPs"
    assert bound["scores, softmax"] == "bytes"  # every text has keys of its own


def test_lengths_take_each_other_along(explorer):
    field = {
        name: explorer.page.get_by_label(f"{name} =") for name in ("q_len", "kv_len")
    }
    field["q_len"].fill("1000")
    state = explorer.evaluate("figure => figure.state")
    assert (state["q"], state["kv"]) == (1000, 1000)
    assert field["kv_len"].input_value() == "1000"
    field["kv_len"].fill("7")
    state = explorer.evaluate("figure => figure.state")
    assert (state["q"], state["kv"]) == (7, 7)
    assert field["q_len"].input_value() == "7"


def test_a_slider_goes_by_powers_of_two(explorer):
    slider = explorer.page.get_by_role("slider", name="batch")
    slider.focus()
    for _ in range(3):
        explorer.page.keyboard.press("ArrowRight")
    assert explorer.evaluate("figure => figure.state.batch") == 8
    assert slider.get_attribute("aria-valuetext") == "8"


def test_dots_are_where_the_ticks_say(explorer):
    """Both scales are logarithmic: between two ticks a power of ten lies the quotient's logarithm."""
    explorer.role("button", "a prompt of 512").click()
    drawn = explorer.evaluate(DRAWN)
    ticks = {words: (x, y) for words, x, y in drawn["ticks"]}
    one, ten = ticks["1"][0], ticks["10"][0]
    low, high = ticks["10G"][1], ticks["100G"][1]
    told = MACHINES["cpu-bfloat16"]
    ceilings = Roofline(told["flops"], told["bytes"])
    steps = [s for s in explorer.evaluate("figure => figure.made") if s["flops"]]
    right = sorted(s["flops"] / s["bytes"] for s in steps)
    assert len(right) == len(drawn["dots"]) == 7
    assert one < ten
    assert high < low  # up is faster
    for at, (x, y) in zip(right, drawn["dots"], strict=True):
        assert x == pytest.approx(one + (ten - one) * math.log10(at), abs=0.3)
        up = math.log10(ceilings.attainable(at) / 1e10)
        assert y == pytest.approx(low + (high - low) * up, abs=0.3)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_name_is_crossed_by_the_line_to_another(explorer, machine):
    explorer.evaluate("(figure, machine) => figure.set({machine})", machine)
    for at in map(lengths, range(9)):
        explorer.evaluate("(figure, at) => figure.set(at)", named(*at))
        crossed = explorer.evaluate(CROSSED)
        assert crossed == [], at
    assert not explorer.complaints


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "invalid literal for int() with base 10: ''"),
        ("many", "invalid literal for int() with base 10: 'many'"),
        ("0", "0 is out of range: from 1 to 65,536"),
        ("-3", "-3 is out of range"),
        ("1e9", "invalid literal for int() with base 10: '1e9'"),
        ("65537", "out of range"),
        ("9" * 10000, "out of range"),
        ("<b>2</b>", "invalid literal"),
    ],
)
def test_what_is_no_batch_is_refused_and_changes_nothing(explorer, typed, why):
    before = explorer.evaluate("figure => figure.state")
    field = explorer.page.get_by_label("batch =")
    field.fill(typed)
    assert explorer.refused
    assert why in explorer.readout
    assert len(explorer.readout) < 200
    assert explorer.evaluate("figure => figure.state") == before
    assert field.get_attribute("aria-invalid") == "true"
    explorer.role("button", "a prompt of 512").click()
    assert field.get_attribute("aria-invalid") is None
    assert field.input_value() == "1"
    field.fill("65536")
    assert not explorer.refused
    assert not explorer.complaints
