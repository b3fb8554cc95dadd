"""What holds of every figure that responds: each is opened alone in a page, from a file."""

import re
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import browse
import pytest
import tiny
from alone import document
from browse import PHONE, Visit

from companion import LlamaConfig, show
from companion.exercises.graders.costs import TIED as SMOLLM2
from companion.show.interactive.element import Interactive
from companion.show.look import code


class Letters:
    """A tokenizer whose tokens are letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


FIGURES: dict[str, Callable[[], Interactive]] = {
    "attention-explorer": lambda: show.attention_explorer("One head: `heads`."),
    "cache-film": lambda: show.cache_film(LlamaConfig(), "A cache of `kv_len` slots."),
    "gqa-slider": lambda: show.gqa_slider(
        {"Llama 2": LlamaConfig(), "SmolLM2": SMOLLM2}, "Share `heads`."
    ),
    "head-atlas": lambda: show.head_atlas(
        tiny.model(), Letters(), ["banana", "Paris"], "All `heads`."
    ),
    "head-split": lambda: show.head_split("From `hidden` to `heads`."),
    "layer-xray": lambda: show.layer_xray(tiny.model(), tiny.ids(1, 5), "`hidden`."),
    "matmul-explorer": lambda: show.matmul_explorer("What meets, and `batch`."),
    "model-xray": lambda: show.model_xray(
        tiny.model(), Letters(), "Paris", "Tokens of `hidden`."
    ),
    "online-softmax": lambda: show.online_softmax_film("A row, in tiles of keys."),
    "ranks-explorer": lambda: show.ranks_explorer(SMOLLM2, "A model over ranks."),
    "roofline-explorer": lambda: show.roofline_explorer("A `batch` under a roof."),
    "rope-dial": lambda: show.rope_dial(
        tiny.model(head_dim=64), Letters(), "Pairs of `head_dim`."
    ),
    "token-sampling": lambda: show.token_sampling(
        tiny.model(), Letters(), ["Paris", "Rome"], "Of `vocab` tokens one."
    ),
}
if find_spec("triton"):
    FIGURES["gpu-tile"] = lambda: show.gpu_tile("A program of `q_len` tiles.")
MOST_LINES = 250

# What a reader can put the focus on: of radio buttons the one that is chosen, of a grid its one tab stop.
CONTROLS = """figure => [...figure.shadowRoot.querySelectorAll("button, input, select, [tabindex='0']")]
  .filter(node => !node.disabled && node.tabIndex >= 0)
  .filter(node => node.checkVisibility({visibilityProperty: true}))
  .filter(node => node.type !== "radio" || node.checked)"""
# Text on the screen whose letters are too small, in a drawing after it has shrunk. A chip's letter may be.
TOO_SMALL = """tag => {
  const figure = document.querySelector(tag), found = [];
  const shown = {opacityProperty: true, visibilityProperty: true};
  const text = child => child.nodeType === 3 ? child.textContent.trim() : "";
  const own = node => [...node.childNodes].map(text).join("");
  for (const root of [figure.closest("figure"), figure.shadowRoot ?? figure])
    for (const node of root.querySelectorAll("*")) {
      if (!own(node) || !node.checkVisibility(shown)) continue;
      if (node.closest(".letter, tspan, style, script, option")) continue;
      const scale = node.ownerSVGElement ? node.getScreenCTM().a : 1;
      const size = scale * parseFloat(getComputedStyle(node).fontSize);
      if (size < 11.9) found.push(`${size.toFixed(1)} px: ${own(node).slice(0, 40)}`);
    }
  return found;
}"""
ALIVE = """tag => {
  const figure = document.querySelector(tag);
  const seen = node => !!node?.checkVisibility() && node.getBoundingClientRect().height > 0;
  const live = seen(figure.shadowRoot?.querySelector(".live"));
  return {live, still: [...figure.querySelectorAll("svg")].some(seen)};
}"""
# The control that has the focus: its number, whether a line says so, and whether words name it.
FOCUSED = """tag => {
  const node = document.querySelector(tag).shadowRoot.activeElement;
  const name = node?.ariaLabel ?? [...(node?.labels ?? []), node].map(each => each?.textContent).join(" ");
  const outlined = !!node && getComputedStyle(node).outlineStyle !== "none";
  const named = /\\w/.test(name) || node?.role === "gridcell";
  return [controls.indexOf(node), outlined, named, node?.outerHTML.slice(0, 120)];
}"""


@cache
def made(name: str) -> Interactive:
    """A figure, once for all tests: some start processes or an interpreter."""
    return FIGURES[name]()


@pytest.fixture(params=FIGURES)
def figure(request) -> Interactive:
    return made(request.param)


def test_no_figure_is_left_out():
    scripts = Path(show.interactive.__file__).parent.glob("*.js")
    defined = re.findall(
        r"customElements\.define\(\"([^\"]+)", "".join(map(Path.read_text, scripts))
    )
    assert {*FIGURES, "shape-figure", "gpu-tile"} == {*defined}


@pytest.fixture
def visit(opened, figure) -> Callable[..., Visit]:
    """Open the figure's page, at a size, in a mode, with or without its scripts."""
    return partial(opened.show, figure)


def alive(visit: Visit, figure: Interactive) -> dict[str, bool]:
    """Whether the part that responds is seen, and whether the still picture is."""
    return visit.page.evaluate(ALIVE, figure.tag)


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", browse.DESKTOP), ("dark", browse.DESKTOP), ("light", PHONE)],
    ids=["light", "dark", "phone"],
)
def test_no_violation_of_accessibility(visit, scheme, size):
    opened = visit(size, scheme)
    opened.color(scheme)
    opened.page.evaluate(browse.AXE_SCRIPT)
    assert browse.violations(opened, scheme) == []
    assert browse.missing_names(opened) == []


def test_says_nothing_to_the_console_and_asks_nobody(visit):
    opened = visit()
    assert browse.complaints(opened) == []
    assert len(opened.requests) == 1  # the page itself


def test_fits_a_phone_and_can_be_read_there(visit, figure):
    opened = visit(PHONE)
    assert browse.complaints(opened) == []
    assert alive(opened, figure) == {"live": True, "still": False}
    assert browse.sideways_scroll(opened) == []
    assert opened.page.evaluate(TOO_SMALL, figure.tag) == []


def test_controls_have_room_for_a_finger(visit, figure):
    small = visit(PHONE).page.evaluate(
        f"""tag => ({CONTROLS})(document.querySelector(tag))
          .filter(node => !node.matches("[role=gridcell]"))
          .filter(node => (node.closest("label") ?? node).getBoundingClientRect().height < 43.9)
          .map(node => node.outerHTML.slice(0, 120))""",
        figure.tag,
    )
    assert small == []


def test_without_scripts_there_is_a_still_picture_and_a_table(visit, figure):
    for size in (browse.DESKTOP, PHONE):
        opened = visit(size, scripts=False)
        assert alive(opened, figure) == {"live": False, "still": True}
        assert opened.page.evaluate(TOO_SMALL, figure.tag) == []
    assert browse.sideways_scroll(opened) == []
    opened.page.locator("details.as-table summary").click()
    assert opened.page.locator("details.as-table tbody td").first.is_visible()
    assert opened.page.locator("figcaption").is_visible()
    assert browse.missing_names(opened) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_print_shows_the_still_picture(visit, figure, scheme):
    opened = visit(scheme=scheme)
    assert alive(opened, figure) == {"live": True, "still": False}
    opened.page.emulate_media(media="print")
    assert alive(opened, figure) == {"live": False, "still": True}


def test_tab_reaches_every_control_and_shows_where_it_is(visit, figure):
    page = visit().page
    expected = page.evaluate(
        f"tag => (window.controls = ({CONTROLS})(document.querySelector(tag))).length",
        figure.tag,
    )
    assert expected > 0
    reached, wrong = set(), []
    for _ in range(expected):
        page.keyboard.press("Tab")
        number, outlined, named, html = page.evaluate(FOCUSED, figure.tag)
        reached.add(number)
        if not (outlined and named):
            wrong.append(html)
    assert reached == set(range(expected))
    assert wrong == []


def test_says_in_words_what_it_shows(visit, figure):
    said = visit().page.get_by_role("status")
    assert said.count() == 1
    assert len(said.text_content()) > 20


def test_one_figure_after_it_was_moved_and_its_scripts_came_again(visit, figure):
    opened = visit()
    again = [code.script("figure"), code.script(figure.tag)]
    for each in again:
        opened.page.add_script_tag(content=each)
    opened.page.evaluate(
        "tag => document.querySelector('main').append(document.querySelector(tag))",
        figure.tag,
    )
    assert alive(opened, figure) == {"live": True, "still": False}
    assert browse.complaints(opened) == []


def test_two_in_a_page_do_not_hear_each_other(opened, figure):
    both = document(figure).replace("</main>", figure.element() + "</main>")
    page = opened.write(both).page
    first, second = (page.locator(figure.tag).nth(number) for number in (0, 1))
    before = second.evaluate("figure => JSON.stringify(figure.state)")
    first.evaluate("figure => figure.set({heard: true})")
    assert second.evaluate("figure => JSON.stringify(figure.state)") == before


def test_a_notebook_shows_it(opened, figure, monkeypatch):
    """One output alone, with no page of ours around it."""
    monkeypatch.setattr(code, "SENT", set())
    opened.write(f"<!doctype html><body>{figure._repr_html_()}</body>")
    assert alive(opened, figure)["live"]
    assert browse.complaints(opened) == []


def test_its_script_can_be_read_in_a_sitting(figure):
    assert len(code.script(figure.tag).splitlines()) <= MOST_LINES
