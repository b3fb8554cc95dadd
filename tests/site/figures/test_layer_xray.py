"""The X-ray of a layer in a browser: the boxes, cells and words are those of the package."""

import base64

import browse
import numpy
import pytest
import tiny
import torch

from companion import show
from companion.show.figures.shapes import SLANT, side_of
from companion.show.interactive.layer_xray import DOUBLING
from companion.show.tables import amount


@pytest.fixture(scope="module")
def recorded():
    torch.manual_seed(0)
    return show.layer_xray(tiny.model(), tiny.ids(1, 5), "A layer.")


@pytest.fixture
def xray(open_figure, recorded):
    return open_figure(recorded)


def made(trace, call, step):
    return trace["calls"][call][step] or trace["calls"]["prefill"][step]


def length(size):
    return side_of(size, DOUBLING)


def test_sides_are_on_the_packages_scale(xray):
    sizes = 0, 1, 2, 3, 5, 9, 64, 576, 1536, 49152, 10**9
    sides = xray.each("side", [[size] for size in sizes])
    assert sides == pytest.approx([length(size) for size in sizes])


def test_sides_of_all_boxes(xray, recorded):
    for call in ("prefill", "decode"):
        xray.evaluate("(figure, call) => figure.set({call})", call)
        drawn = xray.evaluate(
            """figure => figure.boxes.map(({drawn}) =>
              ["width", "height", "fill", "stroke-width", "rx"].map(name =>
                drawn.querySelector("rect").getAttribute(name)))"""
        )
        for step, (wide, high, fill, frame, radius) in enumerate(drawn):
            kind = recorded.trace["boxes"][step]["kind"]
            sizes = [1, *made(recorded.trace, call, step)["shape"]]
            assert (float(wide), float(high)) == pytest.approx(
                (length(sizes[-1]), length(sizes[-2]))
            )
            assert fill == f"var(--look-{kind})"
            assert (frame == "2") == (kind == "weights")
            assert (float(radius) > 0) == (kind == "activations")
    heads = xray.static("sides", [1, 9, 5, 64])["slant"]
    assert heads == pytest.approx(SLANT * length(9))
    assert xray.static("sides", [1, 5, 64])["slant"] == 0


def test_cells_are_the_recorded_ones(xray, recorded):
    for call in ("prefill", "decode"):
        for step in range(len(recorded.trace["boxes"])):
            xray.evaluate(
                "(figure, state) => figure.set(state)", {"step": step, "call": call}
            )
            shown = xray.evaluate(
                """figure => figure.cells
                  .filter(cell => cell.getAttribute("visibility") === "visible")
                  .map(cell => [cell.getAttribute("class"), +cell.style.getPropertyValue("--strength"),
                    +cell.getAttribute("x"), +cell.getAttribute("y")])"""
            )
            one = made(recorded.trace, call, step)
            cells = numpy.frombuffer(base64.b64decode(one["cells"]), dtype=numpy.int8)
            assert len(shown) == len(cells) <= 256
            columns = min(16, one["shape"][-1])
            assert len({x for *_, x, _ in shown}) == columns
            for (sign, strength, x, y), cell in zip(shown, cells.tolist(), strict=True):
                assert sign == f"rect-value {'negative' if cell < 0 else 'positive'}"
                assert strength == pytest.approx(0 if cell == -128 else abs(cell) / 127)
                assert 0 <= x <= 192 - 8
                assert 0 <= y <= 192 - 8
            marks = xray.evaluate("""figure => [figure.marks, figure.struck].map(path =>
                  (path.getAttribute("d").match(/M/g) || []).length)""")
            masked = int((cells == -128).sum())
            assert marks == [int((cells < 0).sum()) - masked, masked]
    assert not xray.complaints


def test_every_step_says_what_was_recorded(xray, recorded):
    facts = "figure => Object.values(figure.facts).map(node => node.textContent)"
    for call in ("prefill", "decode"):
        for step, box in enumerate(recorded.trace["boxes"]):
            xray.evaluate(
                "(figure, state) => figure.set(state)", {"step": step, "call": call}
            )
            one = made(recorded.trace, call, step)
            sizes, ours, theirs, cost = xray.evaluate(facts)
            assert sizes.endswith(f", {box['kind']}")
            assert xray.readout.startswith(f"{call}, {step + 1} of 33: {box['name']} (")
            if not one["code"]:
                assert "comes in" in ours or "no line runs" in ours
            else:
                assert ours == one["code"]
                assert theirs == one["theirs"] or not one["theirs"]
            flops, read, written = one["cost"]
            if box["kind"] == "weights":
                count = int(numpy.prod(one["shape"]))
                assert (
                    cost == f"{count:,} parameters, {amount(4 * count, 'B')} in float32"
                )
            elif any(one["cost"]):
                assert (
                    cost
                    == f"{amount(flops)} FLOPs, reads {amount(read, 'B')}, writes {amount(written, 'B')}"
                )
            elif one["code"]:
                assert cost.startswith("counted at “")


def test_a_later_tensor_is_counted_with_its_line(xray, recorded):
    names = [box["name"] for box in recorded.trace["boxes"]]
    xray.evaluate("(figure, step) => figure.set({step})", names.index("key, turned"))
    assert "counted at “query, turned”" in xray.readout.lower()


def test_it_says_which_values_share_a_cell(xray):
    words = {
        (576,): "1 × 576: each cell the largest of 36 values",
        (1, 5, 576): "5 × 576: each cell the largest of 36 values",
        (1, 9, 5, 5): "head 0 of 9, 5 × 5: each cell a value",
        (1, 9, 5, 64): "head 0 of 9, 5 × 64: each cell the largest of 4 values",
        (1536, 576): "1536 × 576: each cell the largest of 96 × 36 values",
    }
    assert xray.each("described", [[sizes] for sizes in words]) == [*words.values()]


@pytest.mark.parametrize(
    "state",
    [
        {"step": -5},
        {"step": 999},
        {"step": "query"},
        {"step": None, "call": "training"},
        {"call": None},
    ],
)
def test_a_step_or_call_that_is_not_there(xray, state):
    xray.evaluate("(figure, state) => figure.set(state)", state)
    assert "of 33" in xray.readout
    assert xray.page.locator("layer-xray [aria-pressed=true]").count() == 1
    assert not xray.complaints


def test_arrows_go_from_box_to_box_and_stop_at_the_ends(xray):
    xray.page.locator("layer-xray .boxes button").nth(4).focus()
    for key, step in (
        ("ArrowRight", 5),
        ("ArrowLeft", 4),
        ("End", 32),
        ("ArrowDown", 32),
        ("Home", 0),
        ("ArrowUp", 0),
    ):
        xray.page.keyboard.press(key)
        assert xray.evaluate("figure => figure.state.step") == step
        focused = xray.evaluate("""figure => figure.boxes.findIndex(({node}) =>
                node === figure.shadowRoot.activeElement)""")
        assert focused == step
    stops = xray.page.locator("layer-xray .boxes button[tabindex='0']").count()
    assert stops == 1


@pytest.mark.parametrize(
    "size", [browse.PHONE, browse.DESKTOP], ids=["phone", "desktop"]
)
def test_no_step_moves_the_page(open_figure, recorded, size):
    xray = open_figure(recorded, size=size)
    tops = set()
    for step in range(33):
        xray.evaluate("(figure, step) => figure.set({step})", step)
        tops.add(xray.evaluate("figure => figure.controls.getBoundingClientRect().top"))
    assert len(tops) == 1
    wide = xray.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
