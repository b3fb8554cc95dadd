"""The online softmax film computes what torch.softmax and `companion.fast.tiled` compute."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from companion import scaled_dot_product_attention, show
from companion.exercises import FAULTS
from companion.fast import tiled
from companion.show.interactive import online_softmax as film

WIDTHS = (1, 2, 3, 7, 16)
KEYS = 16


@pytest.fixture(scope="module")
def made():
    return show.online_softmax_film("One query.")


@pytest.fixture
def figure(made, open_figure):
    return open_figure(made)


def row(kind, seed):
    """A row of scores: of every size, equal, masked in part or whole, with what is no number."""
    generator = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(KEYS, generator=generator)
    match kind:
        case "large":
            return scores * 1e4
        case "tiny":
            return scores * 1e-20
        case "equal":
            return scores[:1].repeat(KEYS)
        case "growing":
            return scores.sort().values
        case "falling":
            return scores.sort(descending=True).values
        case "masked first":
            return scores.index_fill(0, torch.arange(3 + seed), -math.inf)
        case "masked here and there":
            hidden = torch.rand(KEYS, generator=generator) < 0.6
            return scores.masked_fill(hidden, -math.inf)
        case "all masked":
            return torch.full((KEYS,), -math.inf)
        case "nan":
            return scores.index_fill(0, torch.tensor([seed]), math.nan)
        case "inf":
            return scores.index_fill(0, torch.tensor([seed]), math.inf)
    return scores


KINDS = (
    *("normal", "large", "tiny", "equal", "growing", "falling", "masked first"),
    *("masked here and there", "all masked", "nan", "inf"),
)


def computed(figure, scores, values, width, rescales="both"):
    """What JavaScript makes of these: JSON has no nan and no inf, so they go as text."""
    return figure.page.evaluate(
        """([scores, values, width, rescales]) => {
            const {compute, apart} = customElements.get("online-softmax");
            const made = compute({scores: scores.map(Number), values, width, rescales});
            const texts = x => Array.isArray(x) ? x.map(texts) : String(x);
            const tiles = made.tiles.map(({row_max, row_sum, acc}) => texts([row_max, row_sum, acc]));
            return {tiles, outputs: texts(made.outputs), plains: texts(made.plains),
                apart: made.outputs.map((x, i) => String(apart(x, made.plains[i])))};
        }""",
        [
            [js(x) for x in scores.double().tolist()],
            values.double().tolist(),
            width,
            rescales,
        ],
    )


def js(x):
    return "NaN" if math.isnan(x) else repr(x).replace("inf", "Infinity")


def numbers(texts):
    """Strings of JavaScript's numbers as a tensor."""
    return torch.tensor(
        [float(x.replace("Infinity", "inf")) for x in texts], dtype=torch.float32
    )


def equal(ours, right, rtol=2e-5, atol=2e-5):
    torch.testing.assert_close(ours, right, rtol=rtol, atol=atol, equal_nan=True)


def with_scores(scores):
    """A query and keys of one feature whose scores these are, without a rounding."""
    return torch.ones(1, 1), scores[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_as_torch_and_the_package_compute(figure, kind):
    for width, seed in product(WIDTHS, range(8)):
        scores = row(kind, seed)
        values = torch.randn(
            KEYS, 3, generator=torch.Generator().manual_seed(seed + 50)
        )
        ours = computed(figure, scores, values, width)
        output, plain = numbers(ours["outputs"][-1]), numbers(ours["plains"][-1])
        masked = scores.isneginf().all()
        right = torch.zeros(3) if masked else scores.softmax(-1) @ values
        equal(plain, right)
        equal(numbers([ours["tiles"][-1][0]])[0], scores.max())
        equal(output, right)
        query, key, mask = *with_scores(scores), scores[None]
        if kind not in ("nan", "inf"):  # 0 · inf would be no number in a float mask
            zeros = 0 * key.nan_to_num(0, 0, 0)
            equal(output, tiled(query, zeros, values, mask, kv_block=width)[0])
            equal(plain, F.scaled_dot_product_attention(query, zeros, values, mask)[0])
        else:
            equal(output, tiled(query, key, values, kv_block=width)[0])


@pytest.mark.parametrize("width", WIDTHS)
def test_each_tile_is_as_the_packages(figure, width):
    """row_max, row_sum and acc after every tile, read off a run of `tiled`."""
    tiles, _ = film.run(width)
    _, _, values = film.carried_text()
    scores = torch.tensor([x for tile in tiles for x in tile["scores"]])
    ours = computed(figure, scores, values, width)["tiles"][1:]
    assert len(ours) == len(tiles) == -(-KEYS // width)
    for (row_max, row_sum, acc), tile in zip(ours, tiles, strict=True):
        equal(numbers([row_max]), torch.tensor(tile["row_max"]))
        equal(numbers([row_sum]), torch.tensor(tile["row_sum"]))
        equal(numbers(acc), torch.tensor(tile["acc"]))


@pytest.mark.parametrize(
    ("rescales", "fault"),
    [("neither", "tiled_without_rescale"), ("acc", "tiled_sum_not_rescaled")],
)
def test_what_is_forgotten_is_wrong_as_in_the_gallery(figure, rescales, fault):
    """The last query of the gallery's attention, in its tiles of two keys."""
    for seed in range(5):
        torch.manual_seed(seed)
        query, key, value = torch.randn(3, 1, 1, KEYS, 4)
        wrong = FAULTS[fault].wrong(3 * query, key, value)[0, 0, -1]
        right = FAULTS[fault].right(3 * query, key, value)[0, 0, -1]
        scores = (3 * query[0, 0, -1] @ key[0, 0].mT) / 2
        made = computed(figure, scores, value[0, 0], 2, rescales)
        equal(numbers(made["outputs"][-1]), wrong)
        off = (wrong - right).abs().max()
        equal(numbers([made["apart"][-1]])[0], off, atol=1e-4)


def test_the_scores_are_the_carried_texts(figure):
    query, key, _ = film.carried_text()
    scores = figure.evaluate("figure => figure.state.scores")
    equal(torch.tensor(scores), (query @ key.mT / math.sqrt(3))[0])
    assert figure.evaluate("figure => figure.trace.tokens") == film.TEXT


def test_steps_say_what_is_rescaled(figure):
    on = figure.role("button", "step on")
    assert "Nothing is read" in figure.readout
    for _ in range(5):
        on.click()
    assert (
        "row_max grows from 4.62 to 5.2: what was summed is multiplied by exp(4.62 − 5.2) = 0.56"
        in figure.readout
    )
    assert "for all 8 keys before" in figure.readout
    held = figure.page.get_by_role("table", name="held from tile to tile")
    cells = held.get_by_role("row", name="row_sum").get_by_role("cell")
    assert cells.all_text_contents() == ["1.28", "· 0.56", "+ 1.1", "1.82"]
    figure.page.get_by_label("nothing (wrong)").check()
    assert "row_sum and acc are not" in figure.readout
    for _ in range(4):
        on.click()
    assert "off by 2.03: plain softmax gives [0.29, 1.61, 3.92]" in figure.readout
    figure.page.get_by_label("row_sum and acc", exact=True).check()
    assert "equal to plain softmax but for rounding" in figure.readout
    assert on.is_disabled()


def test_the_bars_add_up_to_row_sum(figure):
    for step in range(1, 9):
        tile = figure.evaluate(
            "(figure, step) => (figure.set({step}), figure.tile)",
            step,
        )
        assert sum(tile["counts"]) == pytest.approx(tile["row_sum"], rel=1e-5)
        assert len(tile["counts"]) == 2 * step


def test_another_width_stays_at_the_output(figure):
    figure.evaluate("figure => figure.set({step: 9})")
    figure.page.get_by_label("3", exact=True).check()
    assert figure.evaluate("figure => [figure.state.width, figure.state.step]") == [
        3,
        7,
    ]
    assert (
        f"{figure.evaluate('figure => figure.trace.held[3]')} bytes" in figure.readout
    )
    figure.evaluate("figure => figure.set({step: 2})")
    figure.page.get_by_label("8", exact=True).check()
    assert figure.evaluate("figure => figure.state.step") == 0


def test_an_edited_score_goes_through(figure):
    cells = figure.page.get_by_role("grid", name="scores of “the” (1, 16)").get_by_role(
        "gridcell"
    )
    cells.nth(3).click()
    figure.page.get_by_label("score of key 3 “on” =").fill("9.5")
    figure.evaluate("figure => figure.set({step: 9})")
    _, _, values = film.carried_text()
    scores = torch.tensor(figure.evaluate("figure => figure.state.scores"))
    assert scores[3] == 9.5
    made = figure.evaluate("figure => figure.made.outputs.at(-1)")
    equal(torch.tensor(made), scores.softmax(-1) @ values)


def test_a_row_that_sees_nothing_gives_zeros(figure):
    masked = "figure => figure.set({scores: figure.state.scores.map(() => -Infinity), step: %d})"
    figure.evaluate(masked % 1)
    assert "every key so far is masked" in figure.readout
    figure.evaluate(masked % 9)
    assert "acc / row_sum = [0, 0, 0]" in figure.readout
    assert "torch.softmax alone gives nan" in figure.readout


@pytest.mark.parametrize(
    ("typed", "shown"), [("-inf", "−inf"), ("nan", "nan"), ("Infinity", "inf")]
)
def test_what_float_reads_is_taken(figure, typed, shown):
    field = figure.page.get_by_label("score of key 0 “on” =")
    field.fill(typed)
    assert not figure.refused
    figure.evaluate("figure => figure.set({step: 9})")
    assert ("[nan, nan, nan], equal to plain" in figure.readout) == (typed != "-inf")
    cell = figure.page.get_by_role("grid").get_by_role("gridcell").first
    assert shown in cell.text_content()


@pytest.mark.parametrize("typed", ["two", "", "1e39", "1,5", "9" * 10000, "<b>1</b>"])
def test_what_is_no_number_is_refused_and_changes_nothing(figure, typed):
    before = figure.evaluate("figure => figure.state")
    figure.page.get_by_label("score of key 0 “on” =").fill(typed)
    assert figure.refused
    assert len(figure.readout) < 200
    assert figure.evaluate("figure => figure.state") == before
    figure.role("button", "mask this key").click()
    assert not figure.refused
    assert not figure.complaints


def test_bytes_held_do_not_grow_with_the_keys():
    """What the readout claims of `tiled`, and of plain attention."""
    query, key, value = film.carried_text()
    trace = show.online_softmax_film("").trace
    for times in (3, 9):
        longer = query, key.repeat(times, 1), value.repeat(times, 1)
        for width, held in trace["held"].items():
            assert show.peak_bytes(tiled, *longer, kv_block=width) == held
        plain = show.peak_bytes(scaled_dot_product_attention, *longer)
        slope = (trace["plain"][64] - trace["plain"][16]) / 48
        assert plain == trace["plain"][16] + slope * 16 * (times - 1)


def test_the_still_and_the_table_have_every_tile():
    figure = show.online_softmax_film("", kv_block=4)
    assert len(figure.still.panels) == 5
    assert len(figure.table.rows) == 5
    assert "as plain softmax" in figure.still.panels[-1]
    with pytest.raises(ValueError, match="kv_block is 5: choose one of"):
        show.online_softmax_film("", kv_block=5)
