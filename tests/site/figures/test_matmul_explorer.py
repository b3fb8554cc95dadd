"""The matmul explorer says what `explain_matmul` says, word for word, and torch's shape."""

import random

import pytest
import torch

from companion import explain_matmul, show

SIZES = (0, 1, 1, 2, 3, 7, 64)


@pytest.fixture
def explorer(open_figure):
    return open_figure(show.matmul_explorer("Two shapes."))


def shapes(seed):
    """Two shapes of 0 to 5 axes, most of which fit: some by chance, some with one size off."""
    draw = random.Random(seed)
    axes = [draw.choice((0, 1, 2, 2, 3, 4, 5)) for _ in range(2)]
    a, b = ([draw.choice(SIZES) for _ in range(n)] for n in axes)
    if seed % 4 and a and b:  # the matrices fit
        b[-2 if len(b) > 1 else 0] = a[-1]
    if seed % 3 and seed % 4:  # so do the batch axes, some of them by a 1
        for place in range(3, min(len(a), len(b)) + 1):
            b[-place] = draw.choice((1, a[-place]))
    if seed % 50 == 0 and b:
        b[-1] = -2
    if seed % 7 == 0:
        a = [n * 10 ** draw.randrange(9) for n in a]
    return tuple(a), tuple(b)


def packages(a, b):
    """What the package makes of them, as the figure's `explain` gives it."""
    try:
        found = explain_matmul(a, b)
    except ValueError as error:
        return {"why": str(error)}
    flops, shape = str(found.flops), str(found.shape)
    return {"shape": shape, "steps": list(found.steps), "flops": flops}


def test_as_the_package_explains(explorer):
    pairs, refused = list(map(shapes, range(600))), 0
    for mine, pair in zip(explorer.each("explain", pairs), pairs, strict=True):
        right = packages(*pair)
        refused += "why" in right
        if "why" in right:
            assert mine["why"] == right["why"]
            assert mine.get("shape") is None
        else:
            assert mine == right
    assert 100 < refused < 400  # both kinds were there


def test_the_shape_is_torchs(explorer):
    """Not by way of the package: what runs on the meta device."""
    pairs = list(map(shapes, range(200)))
    for mine, (a, b) in zip(explorer.each("explain", pairs), pairs, strict=True):
        try:
            x, y = (torch.empty(sizes, device="meta") for sizes in (a, b))
            expected = str(tuple(torch.matmul(x, y).shape))
        except RuntimeError:
            expected = None
        assert mine.get("shape") == expected, (a, b)


def test_sizes_beyond_what_a_float_holds(explorer):
    """2⁵³ + 1 is no float64, and FLOPs are exact however many there are."""
    a, b = ("9007199254740993", "1000000007"), ("1000000007", "9007199254740993")
    right = packages(tuple(map(int, a)), tuple(map(int, b)))
    assert explorer.static("explain", a, b) == right


def test_shapes_as_they_are_written(explorer):
    sizes = {
        "(2, 3)": ["2", "3"],
        "2,3": ["2", "3"],
        " [ 2 , 3 ] ": ["2", "3"],
        "(3,)": ["3"],
        "3": ["3"],
        "()": [],
        "torch.Size([2, 3])": ["2", "3"],
        "(1_000, 2)": ["1000", "2"],
        "(-1, 3)": ["-1", "3"],
        "(−1, 3)": ["-1", "3"],
    }
    assert explorer.each("read", [[typed] for typed in sizes]) == [*sizes.values()]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "no shape yet"),
        ("   ", "no shape yet"),
        ("abc", "“abc” is no size"),
        ("(2,", "SyntaxError: '(' was never closed"),
        ("2, 3)", "SyntaxError: unmatched ')'"),
        ("((2, 3))", "one pair of parentheses"),
        ("2x3", "“2x3” is no size"),
        ("2 3", "“2 3” is no size"),
        ("1e9", "must be tuple of ints, but got float: 1e9"),
        ("(2, 2.5)", "must be tuple of ints, but got float: 2.5"),
        ("(2,, 3)", "no size between two commas"),
        ("(,)", "no size between two commas"),
        ("9" * 30, "Overflow when unpacking long long"),
        ("（2，3）", "is no size"),
        ("٣, 4", "is no size"),
        ("<b>2</b>", "“<b>2</b>” is no size"),
        ("x" * 100_000, "is no size"),
    ],
)
def test_what_is_no_shape_is_refused_and_changes_nothing(explorer, typed, why):
    before = explorer.evaluate("figure => figure.state")
    field = explorer.page.get_by_label("a =", exact=True)
    field.fill(typed)
    assert explorer.refused
    assert why in explorer.readout
    assert len(explorer.readout) < 200
    assert field.get_attribute("aria-invalid") == "true"
    assert explorer.evaluate("figure => figure.state") == before
    field.fill("(7, 4, 4)")
    assert "ValueError: batch axis -3 is 7 in a and 3 in b" in explorer.readout
    field.fill("(7, 1, 4, 4)")
    assert not explorer.refused
    assert "is (7, 3, 4, 4)" in explorer.readout
    assert not explorer.complaints


@pytest.mark.parametrize(
    ("a", "b"), [("()", "(3,)"), ("(-1, 3)", "(3,)"), ("(2, 3)", "(2, 3)")]
)
def test_what_torch_refuses_is_said_as_the_package_says_it(explorer, a, b):
    explorer.evaluate("(figure, [a, b]) => figure.set({a, b})", [a, b])
    with pytest.raises(ValueError, match="a") as refusal:
        explain_matmul(eval(a), eval(b))
    assert explorer.refused
    assert explorer.readout == f"ValueError: {refusal.value}"


def test_ten_thousand_axes(explorer):
    """torch takes them; the last six are drawn."""
    many = "(" + "1, " * 9_998 + "2, 3)"
    explorer.evaluate("(figure, a) => figure.set({a, b: '(3,)'})", many)
    assert not explorer.refused
    assert len(explorer.readout) < 400
    table = explorer.page.get_by_role("table").first
    assert "9994 more before" in table.inner_text()
    assert table.get_by_role("row").nth(1).get_by_role("cell").count() == 6


def test_an_example_is_one_tap(explorer):
    explorer.role("button", "(2, 4) @ (4, 3)").click()
    assert explorer.readout.startswith("(2, 4) @ (4, 3) is (2, 3): 48 FLOPs")
    explorer.evaluate("figure => figure.set({a: '(1000, 1000)', b: '(1000, 1000)'})")
    assert explorer.readout.startswith(
        "(1000, 1000) @ (1000, 1000) is (1000, 1000): 2.00 GFLOPs"
    )
    explorer.role("button", "(2, 9, 5, 64) @ (2, 3, 64, 5)").click()
    assert explorer.refused
    clashing = explorer.page.locator("td.clashes").all_inner_texts()
    assert [text.strip() for text in clashing] == ["9", "3"]


def test_ones_and_missing_axes_stretch(explorer):
    """(2, 1, 4, 4) @ (3, 4, 4): a's 1 as far as b's 3, what b lacks as far as a's 2."""
    stretched = explorer.page.locator("td.stretched").all_inner_texts()
    assert [text.strip() for text in stretched] == ["1→3", "→2"]
    explorer.role("button", "(1, 9, 5, 64) @ (1, 9, 64, 5)").click()
    assert explorer.page.locator("td.stretched").count() == 0  # both are 1


def test_the_first_state_is_the_still_picture():
    figure = show.matmul_explorer("Two shapes.")
    a, b = (eval(shape) for shape in figure.trace["start"])
    found = explain_matmul(a, b)
    assert str(found.shape) in figure.still.alt
    assert all(step in figure.still.alt for step in found.steps[1:])
    assert "1→3" in figure.still.panels[0]
    assert "one of 6 matrix products" in figure.still.panels[1]
    assert [row[2] for row in figure.table.rows][-1] == "ValueError"
