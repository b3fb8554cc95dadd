"""The ranks explorer shows what `companion.parallel` cuts, holds and sends."""

from math import prod

import pytest
import torch

from companion import parallel, show
from companion.exercises.graders.costs import TIED as SMOLLM2
from companion.parallel.traffic import parameters
from companion.show.interactive import ranks_recorded as recording


@pytest.fixture(scope="module")
def made():
    return show.ranks_explorer(SMOLLM2, "Ranks.")


@pytest.fixture
def figure(made, open_figure):
    return open_figure(made)


def exchanges(run, tokens):
    return [
        each["exchanges"][tokens]
        for each in run["steps"]
        if tokens in each["exchanges"]
    ]


@pytest.mark.parametrize("ranks", [1, 3])
def test_what_a_rank_holds_adds_up_to_its_parameters(made, ranks):
    run = made.trace["runs"][ranks]
    layer = sum(
        prod(matrix["shape"])
        for step in run["steps"][1:-1]
        for matrix in step["matrices"]
    )
    [table] = run["steps"][0]["matrices"]  # and the head's, which are the same
    norms = (2 * SMOLLM2.num_hidden_layers + 1) * prod(run["norm"])
    held = 30 * layer + prod(table["shape"]) + norms
    assert held == run["parameters"] == parameters(SMOLLM2, ranks)
    assert run["steps"][-1]["matrices"][0]["shape"] == table["shape"]
    keys = 2 * 30 * prod(run["cache_shape"][1:]) * 2  # keys and values, bfloat16
    assert run["cache"] == keys


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_pieces_cover_each_matrix_once(made, figure, ranks):
    for step in made.trace["runs"][ranks]["steps"]:
        for matrix in step["matrices"]:
            covered = torch.zeros(matrix["whole"], dtype=torch.int8)
            for row, column in matrix["first"]:
                high, wide = matrix["shape"]
                covered[row : row + high, column : column + wide] += 1
            assert (covered == 1).all(), matrix["name"]
            drawn = figure.static("pieces", matrix)
            assert sum(each["high"] * each["wide"] for each in drawn) == pytest.approx(
                1
            )
            for each, first in zip(drawn, matrix["first"], strict=True):
                assert each["top"] * matrix["whole"][0] == pytest.approx(first[0])
                assert each["left"] * matrix["whole"][1] == pytest.approx(first[1])


@pytest.mark.parametrize("tokens", [1, 512])
def test_what_is_sent_is_predicted(made, figure, tokens):
    found = parallel.predicted(SMOLLM2, 3, 1, tokens, torch.bfloat16)
    run = made.trace["runs"][3]
    embedding, after_o, after_down, head = exchanges(run, tokens)
    assert [embedding[0], head[0]] == ["all_reduce", "all_gather"]
    a_pass = embedding[2] + 30 * (after_o[2] + after_down[2]) + head[2]
    assert a_pass == run["sent"][tokens] == sum(each.sent(3) for each in found)
    assert run["sums"] == 61
    until = figure.static(
        "sentUntil",
        {"runs": {"3": run}},
        {"ranks": 3, "tokens": tokens, "step": 5},
    )
    assert until == embedding[2] + after_o[2] + after_down[2]
    assert not exchanges(made.trace["runs"][1], tokens)


def test_heads_go_with_the_kv_heads_that_they_read(made):
    run = made.trace["runs"][3]
    assert run["query"] == [(0, 3), (3, 3), (6, 3)]
    assert run["kv"] == [(0, 1), (1, 1), (2, 1)]
    assert made.trace["runs"][1]["query"] == [(0, 9)]


@pytest.mark.parametrize("ranks", [2, 4, 9])
def test_what_does_not_divide_is_refused_in_the_packages_words(figure, ranks):
    with pytest.raises(ValueError, match="do not divide") as refusal:
        parallel.predicted(SMOLLM2, ranks, 1, 1, torch.bfloat16)
    before = figure.evaluate("figure => figure.state")
    group = figure.page.get_by_role("group", name="ranks", exact=True)
    group.get_by_label(str(ranks), exact=True).click()
    assert figure.refused
    assert figure.readout == f"ValueError: {refusal.value}"
    assert figure.evaluate("figure => figure.state") == before
    assert group.get_by_label("3", exact=True).is_checked()
    group.get_by_label("1", exact=True).check()
    assert not figure.refused
    assert not figure.complaints


def test_another_rank_lights_its_own(figure):
    figure.page.get_by_role("group", name="show rank").get_by_label("2").check()
    figure.evaluate("figure => figure.set({step: 2})")
    assert figure.readout.startswith(
        "Rank 2 computes query heads 6 to 8 with KV head 2"
    )
    own = figure.page.locator("ranks-explorer .own")
    assert own.all_text_contents() == ["2"] * 4 + ["6", "7", "8", "2"] + ["2"] * 5
    figure.evaluate("figure => figure.set({step: 1})")
    assert "rows 384 to 575 of q_proj’s 576, rows 128 to 191 of k_proj’s 192" in (
        figure.readout
    )
    assert "nothing is sent" in figure.readout


def test_one_rank_has_no_other_to_show(figure):
    figure.evaluate("figure => figure.set({rank: 2})")
    ranks = figure.page.get_by_role("group", name="ranks", exact=True)
    ranks.get_by_label("1", exact=True).check()
    assert figure.evaluate("figure => figure.state.rank") == 0
    shown = figure.page.get_by_role("group", name="show rank")
    assert shown.get_by_label("1").is_disabled()
    assert "One rank sends nothing" in figure.readout
    wires = figure.page.locator("ranks-explorer .wire").all_text_contents()
    assert not any(wires)


def test_every_step_says_what_crosses_the_wire(figure):
    on, said = figure.role("button", "step on"), []
    figure.evaluate("figure => figure.set({step: 0})")
    for _ in range(7):
        said.append(figure.readout)
        if on.is_enabled():
            on.click()
    assert [("all-reduce" in x, "all-gather" in x) for x in said] == [
        *((True, False), (False, False), (False, False), (True, False)),
        *((False, False), (True, False), (False, True)),
    ]
    assert "columns 0 to 191 of o_proj’s 576" in said[3]
    assert "In the whole pass a rank sends 159 kB" in said[6]
    figure.page.get_by_label("512 tokens (prefill)").check()
    assert "In the whole pass a rank sends 48.0 MB" in figure.readout


def test_no_number_that_divides_is_refused():
    with pytest.raises(
        ValueError, match=r"no number of \[1, 2\] above 1: the model has"
    ):
        show.ranks_explorer(SMOLLM2, "", counts=(1, 2))


def test_the_still_and_the_table(made):
    assert len(made.still.panels) == 9
    assert "o_proj (576, 576) cut by columns, (576, 192) a rank" in made.still.alt
    assert "all_reduce, 1,536 B" in made.still.alt
    rows = {row[0]: row for row in made.table.rows}
    assert list(rows) == [1, 3, 2, 4, 9]
    assert rows[2][1] == recording.refusals(SMOLLM2, (2,))[2]
    assert rows[3][1:7] == ["44.9 M", "89.7 MB", "62.9 MB", 3, 1, 61]
