"""Cells go where torch puts them, by view and transpose and by view alone."""

import pytest
import torch

from companion import show, split_heads

SIZES = [
    (length, heads * head_dim, heads)
    for length in range(1, 5)
    for heads in range(1, 9)
    for head_dim in range(1, 9)
    if heads * head_dim <= 8
]


@pytest.fixture
def split(open_figure):
    return open_figure(show.head_split("Numbers."))


def sizes(length, hidden, heads):
    return {"length": length, "hidden": hidden, "heads": heads}


def test_shapes_and_strides_are_torchs(split):
    for length, hidden, heads in SIZES:
        x = torch.arange(length * hidden).reshape(length, hidden)
        cut = x.view(length, heads, -1)
        right = [x, cut, cut.transpose(0, 1)]
        wrong = [x, x.view(heads, length, -1)]
        ours = split.static("compute", sizes(length, hidden, heads))
        for mine, theirs in ((ours["right"], right), (ours["wrong"], wrong)):
            assert [tuple(each["sizes"]) for each in mine] == [t.shape for t in theirs]
            for each, tensor in zip(mine, theirs, strict=True):
                assert torch.equal(evaluated(each["code"], x), tensor)
                assert laid(split, each) == tensor.tolist()
                assert strides_alike(each["strides"], tensor)


def evaluated(code, x):
    """What the line of code that the figure shows makes of x."""
    return eval(code, {"x": x})


def strides_alike(ours, tensor):
    """Along axes of one element torch may write any stride."""
    pairs = zip(ours, tensor.stride(), tensor.shape, strict=True)
    return all(mine == theirs for mine, theirs, size in pairs if size > 1)


def laid(split, step):
    """The tensor as nested lists, from the places that the figure gives each number."""
    found = split.static("places", step)
    shape = step["sizes"] if len(step["sizes"]) == 3 else [1, *step["sizes"]]
    made = torch.full(shape, -1)
    for number, place in enumerate(found):
        made[tuple(place)] = number
    return (made if len(step["sizes"]) == 3 else made[0]).tolist()


def test_the_right_way_is_split_heads(split):
    for length, hidden, heads in SIZES:
        x = torch.arange(float(length * hidden)).reshape(length, hidden)
        ours = split.static("compute", sizes(length, hidden, heads))["right"][2]
        assert laid(split, ours) == split_heads(x, heads).long().tolist()


def on_screen(split):
    """The numbers line by line, as they lie in the page."""
    return split.evaluate(
        """figure => {
          const slides = figure.shadowRoot.getAnimations();
          for (const slide of slides) if (slide.effect.getComputedTiming().endTime <= 500) slide.finish();
          const lines = {};
          for (const cell of figure.cells) {
            if (cell.hidden) continue;
            const {left, top} = cell.getBoundingClientRect();
            (lines[Math.round(top)] ??= []).push([left, +cell.textContent]);
          }
          const tops = Object.keys(lines).map(Number).sort((a, b) => a - b);
          return tops.map(top => lines[top].sort((a, b) => a[0] - b[0]).map(each => each[1]));
        }"""
    )


def test_cells_lie_in_the_page_as_the_tensor_says(split):
    split.page.emulate_media(reduced_motion="no-preference")
    x = torch.arange(18).reshape(3, 6)
    assert on_screen(split) == x.tolist()
    split.role("button", "step on").click()
    assert on_screen(split) == x.view(-1, 3).tolist()
    split.role("button", "step on").click()
    assert on_screen(split) == split_heads(x, 2).reshape(-1, 3).tolist()
    split.role("radio", "view only (wrong)").check()
    assert on_screen(split) == x.view(-1, 3).tolist()


def test_what_is_astray_is_said_and_marked(split):
    split.role("radio", "view only (wrong)").check()
    x = torch.arange(18).reshape(3, 6)
    right, wrong = split_heads(x.float(), 2).long(), x.view(2, 3, 3)
    astray = sorted(wrong[wrong != right].tolist())
    marked = "figure => figure.cells.filter(cell => cell.matches('.astray')).map(cell => +cell.textContent)"
    assert split.evaluate(marked) == astray
    assert f"{len(astray)} of 18 numbers are in the wrong place" in split.readout
    split.role("option", "7, token 1, in the wrong place").click()
    assert (
        "[0, 2, 1] of (2, 3, 3), strides (9, 3, 1): 0·9 + 2·3 + 1·1 = 7"
        in split.readout
    )
    assert "belongs at [0, 1, 1]" in split.readout
    split.role("radio", "view, transpose").check()
    assert (
        "[0, 1, 1] of (2, 3, 3), strides (3, 6, 1): 0·3 + 1·6 + 1·1 = 7"
        in split.readout
    )
    assert split.evaluate(marked) == []


def test_arrows_follow_the_cells_as_they_lie(split):
    split.page.get_by_label("step", exact=True).fill("2")
    split.role("option", "0, token 0").click()
    for key, number in [
        ("ArrowDown", 6), ("ArrowRight", 7), ("End", 8), ("ArrowRight", 8), ("ArrowDown", 14),
        ("ArrowDown", 5), ("Home", 3), ("ArrowUp", 12), ("ArrowLeft", 12),
    ]:  # fmt: skip
        split.page.keyboard.press(key)
        assert (
            split.evaluate("figure => +figure.shadowRoot.activeElement.textContent")
            == number
        )
        assert split.evaluate("figure => figure.state.picked") == number


def refusal(length, hidden, heads):
    try:
        split_heads(torch.empty(length, hidden), heads)
    except (ValueError, RuntimeError) as error:
        return str(error).splitlines()[0]


@pytest.mark.parametrize(
    ("label", "typed", "asked"),
    [
        ("heads", 4, (3, 6, 4)),
        ("heads", 0, (3, 6, 0)),
        ("heads", -2, (3, 6, -2)),
        ("heads", 10_000, (3, 6, 10_000)),
        ("hidden", 7, (3, 7, 2)),
        ("hidden", -6, (3, -6, 2)),
        ("length", -1, (-1, 6, 2)),
    ],
)
def test_refused_in_the_words_of_torch_and_the_package(split, label, typed, asked):
    before = split.evaluate("figure => figure.state")
    field = split.page.get_by_label(label, exact=True)
    field.fill(str(typed))
    assert split.refused
    assert split.readout == refusal(*asked)
    assert split.evaluate("figure => figure.state") == before
    field.fill({"heads": "3", "hidden": "8", "length": "4"}[label])
    assert not split.refused


@pytest.mark.parametrize("typed", ["0", "5", "10000", "two", "", "1.5", "9" * 10_000])
def test_no_length_that_cannot_be_shown(split, typed):
    split.page.get_by_label("length", exact=True).fill(typed)
    assert split.refused
    assert len(split.readout) < 200
    assert split.evaluate("figure => figure.state.length") == 3
    assert not split.complaints


def test_a_smaller_tensor_has_a_picked_cell(split):
    split.role("option", "17, token 2").click()
    split.page.get_by_label("length", exact=True).fill("1")
    assert split.evaluate("figure => figure.state.picked") == 5
    assert (
        split.evaluate("figure => figure.cells.filter(cell => !cell.hidden).length")
        == 6
    )
