"""The attention explorer computes what torch computes, and says so to everyone."""

import math
from itertools import product

import pytest
import torch

from companion import show
from companion.show import example

SWITCHES = [
    {"scaled": scaled, "causal": causal, "over": over}
    for scaled in (True, False)
    for causal in (True, False)
    for over in ("keys", "queries")
]


@pytest.fixture
def explorer(open_figure):
    return open_figure(show.attention_explorer("One head."))


def fused(a, b):
    """`a @ b` by fused multiply-adds in their order: where a sum leaves float32, the kernels of
    processors differ in whether it becomes infinite or NaN."""
    total = torch.zeros(a.shape[0], b.shape[1])
    for i in range(a.shape[1]):
        total = (total.double() + a[:, i, None].double() * b[i].double()).float()
    return total


def torchs(x, w_q, w_k, w_v, scaled, causal, over, times=torch.matmul):
    """The same head by torch's own operators."""
    q, k, v = times(x, w_q), times(x, w_k), times(x, w_v)
    scores = times(q, k.mT)
    scaled_scores = scores / math.sqrt(q.shape[-1]) if scaled else scores
    later = torch.ones(scores.shape, dtype=torch.bool).triu(1)
    masked = scaled_scores.masked_fill(later, -math.inf) if causal else scaled_scores
    weights = masked.softmax(-1 if over == "keys" else -2)
    return {
        "Q": q,
        "K": k,
        "V": v,
        "scores": scores,
        "scaled": scaled_scores,
        "masked": masked,
        "weights": weights,
        "output": times(weights, v),
    }


def inputs(kind, seed):
    """X and three weights: small integers, normal numbers, large, tiny, one that overflows."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 4), (4, 3), (4, 3), (4, 3)]
    made = [torch.randn(shape, generator=generator) for shape in shapes]
    if kind == "integers":
        return [(10 * x).round() for x in made]
    factor = {"normal": 1, "large": 30, "tiny": 1e-20, "overflowing": 1e20}[kind]
    return [x * factor for x in made]


@pytest.mark.parametrize("kind", ["integers", "normal", "large", "tiny", "overflowing"])
def test_as_torch_computes(explorer, kind):
    for seed, switches in product(range(10), SWITCHES):
        tensors = inputs(kind, seed)
        times = fused if kind == "overflowing" else torch.matmul
        right = torchs(*tensors, **switches, times=times)
        names = ("X", "W_q", "W_k", "W_v")
        state = {n: t.double().tolist() for n, t in zip(names, tensors, strict=True)}
        ours = explorer.static("compute", {**state, **switches})
        for name, value in right.items():
            mine = torch.tensor(ours[name], dtype=torch.float32)
            largest = (
                value[value.isfinite()].abs().max() if value.isfinite().any() else 1
            )
            torch.testing.assert_close(
                mine,
                value,
                rtol=1e-4,
                atol=2e-6 * float(largest),
                equal_nan=True,
                msg=lambda m, case=(name, switches): f"{case}: {m}",
            )


def test_first_state_is_the_packages(explorer):
    made = explorer.evaluate("figure => figure.made")
    q, k, _ = (example.tokens() @ weight for weight in example.weights())
    assert made["Q"] == q.tolist()
    assert made["scores"] == (q @ k.mT).tolist()
    assert explorer.readout.endswith("1·1 + 3·2 + 1·1 = 8; times 1/√3: 4.62")


def test_an_edited_number_goes_through(explorer):
    explorer.page.get_by_role("grid", name="X (2, 4)").get_by_role("gridcell").nth(
        2
    ).click()
    field = explorer.page.get_by_label("X[0, 2] =")
    field.fill("-5")
    x = example.tokens()
    x[0, 2] = -5
    w_q, w_k, w_v = example.weights()
    right = torchs(x, w_q, w_k, w_v, True, False, "keys")
    made = explorer.evaluate("figure => figure.made")
    torch.testing.assert_close(torch.tensor(made["output"]), right["output"])


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("two", "could not convert string to float: 'two'"),
        ("", "could not convert string to float: ''"),
        ("1e39", "does not fit in float32"),
        ("1,5", "could not convert string to float: '1,5'"),
        ("9" * 10000, "does not fit in float32"),
        ("<b>1</b>", "could not convert string to float: '<b>1</b>'"),
    ],
)
def test_what_is_no_number_is_refused_and_changes_nothing(explorer, typed, why):
    explorer.page.get_by_role("grid", name="W_q (4, 3)").get_by_role("gridcell").nth(
        0
    ).click()
    before = explorer.evaluate("figure => figure.state")
    field = explorer.page.get_by_label("W_q[0, 0] =")
    field.fill(typed)
    assert explorer.refused
    assert why in explorer.readout
    assert len(explorer.readout) < 200
    assert explorer.evaluate("figure => figure.state") == before
    field.fill("2")
    assert not explorer.refused


def test_nan_is_shown_and_not_hidden(explorer):
    """Scores of inf − inf are nan in torch too."""
    explorer.page.get_by_role("grid", name="X (2, 4)").get_by_role("gridcell").nth(
        0
    ).click()
    explorer.page.get_by_label("X[0, 0] =").fill("3e38")
    cells = explorer.page.get_by_role("grid", name="weights (2, 2)").get_by_role(
        "gridcell"
    )
    assert "nan" in cells.all_text_contents()
    assert not explorer.complaints


def test_a_number_is_edited_by_the_keyboard_alone(explorer):
    """Enter goes from the cell to its field, and from there back."""
    cell = explorer.page.get_by_role("grid", name="X (2, 4)").get_by_role("gridcell")
    cell.nth(0).focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("Enter")
    explorer.page.keyboard.type("7")
    explorer.page.keyboard.press("Enter")
    assert explorer.evaluate("figure => figure.state.X[0][1]") == 7
    focused = "figure => figure.shadowRoot.activeElement.getAttribute('aria-label')"
    assert explorer.evaluate(focused) == "row 0, column 1: 7"


def test_a_masked_cell_says_so(open_figure):
    shown = open_figure(show.attention_explorer("One head.", is_causal=True))
    cells = shown.page.get_by_role("grid", name="scaled scores (2, 2)").get_by_role(
        "gridcell"
    )
    labels = [cell.get_attribute("aria-label") for cell in cells.all()]
    assert labels[1] == "row 0, column 1: masked"
    assert labels[0] == "row 0, column 0: 4.62"


def test_the_same_words_are_not_said_twice_and_keep_their_room(explorer):
    """Who hears the figure hears what is new; what is below it stays where it is."""
    said = explorer.evaluate(
        """async figure => {
          let changes = 0;
          const watch = new MutationObserver(list => { changes += list.length; });
          watch.observe(figure.readout, {childList: true});
          const heights = new Set();
          for (let i = 0; i < 5; i++) { figure.set({}); heights.add(figure.readout.offsetHeight); await 0; }
          return [changes, heights.size];
        }"""
    )
    assert said == [0, 1]
    explorer.evaluate("figure => figure.say('long words '.repeat(60))")
    tall = explorer.evaluate("figure => figure.readout.offsetHeight")
    explorer.evaluate("figure => figure.say('short')")
    assert explorer.evaluate("figure => figure.readout.offsetHeight") == tall
