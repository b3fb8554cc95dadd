"""The GPU's tile shows what the kernel did in Triton's interpreter, line by line."""

import importlib.util

import pytest
import torch

from companion import scaled_dot_product_attention, show
from companion.fast import tiled
from companion.show.interactive import gpu_tile as recording

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
PROGRAMS, TILES = 8, 4


@pytest.fixture(scope="module")
def made():
    return show.gpu_tile("One program.")


@pytest.fixture
def figure(made, open_figure):
    return open_figure(made)


def end(made, form, program):
    return len(made.trace["runs"][form][program]) - 1


def held(figure, form, program, step):
    return figure.page.evaluate(
        """([state]) => { const {at} = customElements.get("gpu-tile");
            return at(document.querySelector("gpu-tile").trace, state); }""",
        [{"form": form, "program": program, "step": step}],
    )


@pytest.mark.parametrize("form", ["causal", "all keys"])
def test_every_program_ends_with_attentions_output(made, figure, form):
    query, key, value = recording.carried_text()
    right = scaled_dot_product_attention(query, key, value, is_causal=form == "causal")
    assert len(made.trace["runs"][form]) == PROGRAMS
    for program in range(PROGRAMS):
        end_of = held(figure, form, program, end(made, form, program))
        head, block = end_of["numbers"]["head"], end_of["numbers"]["block"]
        acc = torch.tensor(end_of["registers"]["acc"]["values"])
        expected = right[0, head, 2 * block : 2 * block + 2]
        torch.testing.assert_close(acc, expected, rtol=1e-3, atol=1e-3)
        assert end_of["stored"]


def test_the_tiles_are_those_of_tiled(made, figure):
    """Which keys each block of queries meets, read off a run of `tiled`."""
    runs = show.record_tiles(tiled, 8, q_block=2, kv_block=2)
    for program in range(PROGRAMS):
        at_end = held(figure, "causal", program, end(made, "causal", program))
        first = 2 * at_end["numbers"]["block"]
        right = [t.keys.start // 2 for t in runs if t.queries.start == first]
        assert at_end["taken"] == right
        everything = held(figure, "all keys", program, end(made, "all keys", program))
        assert everything["taken"] == [0, 1, 2, 3]


def test_bytes_are_those_of_the_tiles_without_padding(made, figure):
    for form in ("causal", "all keys"):
        for program in range(PROGRAMS):
            at_end = held(figure, form, program, end(made, form, program))
            one = 2 * 3 * 4  # two rows of three float32
            assert at_end["bytes"] == one * (1 + 2 * len(at_end["taken"]))
            matrices = [read["matrix"] for read in at_end["read"]]
            assert matrices == ["query"] + ["key", "value"] * len(at_end["taken"])


def test_a_tile_that_is_left_is_forgotten(made, figure):
    """After the next key is loaded no score of the tile before is held, and one of key and
    value is in shared memory.
    """
    steps = made.trace["runs"]["causal"][2]
    keys = [i for i, step in enumerate(steps) if step[2:] and step[2][0] == "key"]
    for step in keys[1:]:
        before, now = (held(figure, "causal", 2, n) for n in (step - 1, step))
        assert {"scores", "weights"} < set(before["registers"])
        assert set(now["registers"]) == {"row_max", "row_sum", "acc"}
        assert set(before["shared"]) == {"query", "value"}
        assert set(now["shared"]) == {"query", "key"}
        assert now["bytes"] == before["bytes"] + 24


def test_the_lines_are_the_kernels(made):
    """Each is in the source of the kernel, as Python writes it, in the order of the source."""
    import ast

    from companion.fast.kernels import forward
    from companion.show.kernels.line_for_line import body_of, named

    sources = [
        " ".join(source.split())
        for function in (forward.attention_forward, forward.attend_to_blocks)
        for source in [
            *(each for _, each in named(body_of(function))),
            *map(ast.unparse, body_of(function)),
        ]
    ]
    lines = made.trace["lines"]
    assert all(source in sources for _, source, _ in lines)
    assert [x for x in sources if x in [s for loop, s, _ in lines if loop]] == [
        source for loop, source, _ in lines if loop
    ]
    assert lines[-1][1] == "store_rows(output, start, acc)"
    first = next(i for i, (loop, _, _) in enumerate(lines) if loop)
    assert lines[first - 1][1] == "for start in range(first_key, seen, KV_BLOCK):"


def test_the_line_that_runs_is_lit_and_said(made, figure):
    figure.evaluate("figure => figure.set({step: 0})")
    on, steps = figure.role("button", "step on"), made.trace["runs"]["causal"][2]
    for step in range(len(steps)):
        lit = figure.page.locator("gpu-tile li.now[aria-current=step]")
        assert lit.count() == 1
        assert lit.text_content() == made.trace["lines"][steps[step][0]][1]
        said = figure.readout
        assert len(said) > 15
        assert not {"undefined", "NaN", "[object"} & set(said.split())
        assert "undefined" not in said
        if step < len(steps) - 1:
            on.click()
    assert on.is_disabled()
    assert "24 bytes; 168 were read" in figure.readout
    assert "3 tiles of scores computed, 1 skipped" in figure.readout


def test_every_line_of_every_program_has_words(made, figure):
    said = figure.evaluate(
        """figure => Object.entries(figure.trace.runs).flatMap(([form, programs]) =>
            programs.flatMap((run, program) => run.map((_, step) => {
                figure.set({form, program, step});
                return figure.readout.textContent;
            })))"""
    )
    assert len(said) > 700
    assert not [words for words in said if "undefined" in words or "NaN" in words]
    assert all(len(words) > 15 for words in said)


def test_next_tile_goes_to_its_first_line(made, figure):
    figure.evaluate("figure => figure.set({step: 0})")
    found = []
    for _ in range(4):
        figure.role("button", "next tile").click()
        found.append(figure.readout.split(":")[0])
    assert [words.split(" (")[0] for words in found[:3]] == [
        f"key, rows {keys}" for keys in ("0–1", "2–3", "4–5")
    ]
    assert found[3].startswith("Rows 4–5 of output are written")


def test_another_program_is_shown_at_the_same_line(figure):
    line = figure.evaluate("figure => figure.held.line")
    figure.page.get_by_label("7", exact=True).check()
    assert figure.evaluate("figure => [figure.state.program, figure.held.line]") == [
        7,
        line,
    ]
    cells = figure.page.locator("gpu-tile .never")
    assert cells.count() == 3
    figure.page.get_by_label("none", exact=True).check()
    assert cells.count() == 0
    assert not figure.complaints


def test_what_is_skipped_is_said(figure):
    seen = """(figure, program) => { const run = figure.trace.runs.causal[program];
        const step = run.findIndex(([line]) => figure.trace.lines[line][1].startsWith("seen = tl.minimum"));
        figure.set({program, step}); return figure.readout.textContent; }"""
    assert "keys from 6 on come after every query" in figure.evaluate(seen, 2)
    assert "1 of 4 tiles will not be loaded" in figure.evaluate(seen, 2)
    assert "no tile is skipped" in figure.evaluate(seen, 0)


def test_the_still_and_the_table(made):
    assert len(made.still.panels) == 3
    assert "program 2 computes 3 of 4 tiles" in made.still.alt
    assert "168 bytes read" in made.still.alt
    keys = [row[0] for row in made.table.rows]
    assert [*dict.fromkeys(keys)] == ["0 to 1", "2 to 3", "4 to 5"]
    assert len(keys) == 3 * 12
    assert made.table.rows[6][1:] == [
        *("weights = tl.exp2(tl.fma(scores, unit, -shift[:, None]))", "weights"),
        "[0.561, 1.000] [1.000, 0.177]",
    ]
    with pytest.raises(ValueError, match="program is 8: the grid has programs 0 to 7"):
        show.gpu_tile("", program=8)
