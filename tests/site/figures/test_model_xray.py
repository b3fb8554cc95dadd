"""The X-ray of a model in a browser: each step shows what was recorded, whatever it is asked for."""

import re

import browse
import pytest

from companion import show
from companion.show.tables import amount

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def recorded(bundled):
    return show.model_xray(*bundled, PROMPT, "A model.")


@pytest.fixture
def xray(open_figure, recorded):
    return open_figure(recorded)


SHOWN = """figure => {
  const root = figure.shadowRoot, all = selector => [...root.querySelectorAll(selector)];
  return {
    words: all(".word").map(node => [...node.querySelectorAll("span")].map(each => each.textContent)),
    bars: all(".word i").map(node => parseFloat(node.style.width)),
    cost: all(".cost dd").map(node => node.textContent),
    pressed: all(".tokens [aria-pressed=true]").map(node => node.textContent),
    step: root.querySelector("input[type=range]").getAttribute("aria-valuetext"),
    kept: root.querySelector("svg.ink").style.clipPath,
  };
}"""


def test_every_step_shows_what_was_recorded(xray, recorded):
    trace = recorded.trace
    for step, name in enumerate(trace["names"]):
        for token, word in enumerate(trace["tokens"]):
            xray.evaluate(
                "(figure, state) => figure.set(state)", {"step": step, "token": token}
            )
            shown = xray.evaluate(SHOWN)
            found = trace["lens"][min(step, len(trace["lens"]) - 1)][token]
            words = [
                [trace["words"][i], f"{share / 10:.1f}%"]
                for i, share in zip(found[::2], found[1::2], strict=True)
            ]
            assert shown["words"] == words
            assert shown["bars"] == pytest.approx([share / 10 for share in found[1::2]])
            assert (shown["step"], shown["pressed"]) == (name, [word])
            code, *costs = trace["steps"][step]
            assert shown["cost"][1:] == [
                amount(costs[0]),
                *(amount(n, "B") for n in costs[1:]),
            ]
            sizes = re.sub("[a-z]", "", shown["cost"][0])
            assert sizes == str(trace["shapes"][step])
            assert trace["codes"][code] in xray.readout
            assert xray.readout.startswith(name)
    assert not xray.complaints


CLICK = """(figure, name) =>
  figure.shadowRoot.querySelector(`[aria-label="${name}"]`).click()"""


@pytest.mark.parametrize(
    ("state", "step", "token"),
    [
        ({"step": -1}, "embedding", "␣is"),
        ({"step": 99}, "head", "␣is"),
        ({"step": 1e300, "token": -4}, "head", "The"),
        ({"step": None, "token": 5}, "embedding", "␣is"),
        ({"step": "twelve", "token": "␣Paris"}, "embedding", "The"),
        ({"step": 12.7, "token": 2.9}, "layer 11", "␣of"),
    ],
)
def test_a_step_or_token_that_is_not_there(xray, state, step, token):
    xray.evaluate("(figure, state) => figure.set(state)", state)
    shown = xray.evaluate(SHOWN)
    assert (shown["step"], shown["pressed"]) == (step, [token])
    assert not xray.complaints


def test_steps_hide_what_comes_later(xray):
    for step, hidden in ((0, 31 / 32), (12, 19 / 32), (31, 0), (32, 0)):
        xray.evaluate("(figure, step) => figure.set({step})", step)
        kept = re.findall(r"[\d.]+(?=%)", xray.evaluate(SHOWN)["kept"])
        assert float(kept[0] if kept else 0) == pytest.approx(100 * hidden, abs=1e-3)


def test_a_place_in_the_picture_is_a_token_and_a_step(xray):
    places = (0, 0), (0.19, 0.5), (0.21, 0.99), (1, 1), (-3, 7)
    found = xray.each("at", [(across, down, 5, 32) for across, down in places])
    right = (0, 0), (0, 16), (1, 31), (4, 31), (0, 31)
    assert [(each["token"], each["step"]) for each in found] == [*right]


def test_pointing_and_the_ends(xray):
    picture = xray.page.locator("model-xray .picture")
    box = picture.bounding_box()
    xray.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
    shown = xray.evaluate(SHOWN)
    assert (shown["step"], shown["pressed"]) == ("layer 11", ["␣capital"])
    for name, step in (("step on", "head"), ("step back", "embedding")):
        for _ in range(40):
            xray.evaluate(CLICK, name)
        assert xray.evaluate(SHOWN)["step"] == step
        assert xray.role("button", name).is_disabled()
    assert not xray.complaints


def test_colors_are_the_signs_in_both_themes(xray, recorded):
    """A pixel of a cell that is far from zero is the ink of its sign, and follows the theme at once."""
    inks = {
        "light": ((0x21, 0x66, 0xAC), (0xB3, 0x58, 0x06)),
        "dark": ((0x5A, 0xA9, 0xF0), (0xF0, 0x95, 0x4A)),
    }
    for scheme, right in inks.items():
        xray.page.evaluate(f"document.documentElement.dataset.theme = '{scheme}'")
        flood = xray.evaluate(
            """figure => [...figure.shadowRoot.querySelectorAll("feFlood")].map(node =>
              getComputedStyle(node).floodColor.match(/\\d+/g).map(Number))"""
        )
        assert [tuple(color) for color in flood] == [*right]


@pytest.mark.parametrize(
    "size", [browse.PHONE, browse.DESKTOP], ids=["phone", "desktop"]
)
def test_it_keeps_its_height_and_the_page_its_width(open_figure, recorded, size):
    """No step moves what is below; a window that is resized keeps the step."""
    xray = open_figure(recorded, size=size)
    heights = set()
    for step in range(33):
        xray.evaluate("(figure, step) => figure.set({step, token: 0})", step)
        heights.add(xray.evaluate("figure => figure.getBoundingClientRect().height"))
    assert len(heights) == 1
    wide = xray.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    xray.evaluate("figure => figure.set({step: 13})")
    xray.page.set_viewport_size({"width": 700, "height": 500})
    assert xray.evaluate(SHOWN)["step"] == "layer 12"
