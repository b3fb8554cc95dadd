import re

import pytest

from companion import show
from companion.show.speeds import Speed
from companion.show.stacks import stacked_bars

RAW = {
    "date": "2026-01-02",
    "cpu": "a processor",
    "threads": 2,
    "torch": "2.13.0",
    "decode": {
        "count": 60,
        "seconds": {"companion plain": [2.0, 3.0, 6.0], "llama.cpp F32": [1.0]},
    },
}


def widths(drawn):
    """The widths of the bars, in order."""
    return [float(x) for x in re.findall(r'<rect [^>]* width="([\d.]+)"', drawn)]


def test_speeds_are_tokens_per_second_of_the_rounds():
    plain, llama = show.speeds(RAW)
    assert plain == Speed("companion plain", 20.0, 10.0, 30.0)
    assert llama == Speed("llama.cpp F32", 60.0, 60.0, 60.0)


def test_each_form_has_the_bound_of_its_name():
    found = show.speeds(RAW, bound={"companion plain": 80.0, "llama.cpp F32": 90.0}.get)
    assert [speed.bound for speed in found] == [80.0, 90.0]


def test_the_machine_in_one_line():
    assert show.machine_of(RAW) == "2026-01-02 · a processor · 2 threads · torch 2.13.0"


def test_a_phase_or_a_form_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="no 'prefill'"):
        show.speeds(RAW, "prefill")
    empty = {"decode": {"count": 60, "seconds": {"companion plain": []}}}
    with pytest.raises(ValueError, match="'companion plain' has no rounds"):
        show.speeds(empty)


def test_a_panel_is_as_wide_as_its_largest_bound_or_speed():
    figure = show.speeds_figure(
        {
            "float32": [Speed("companion plain", 20.0, 10.0, 30.0, 80.0)],
            "bfloat16": [Speed("hugging face sdpa", 40.0, 40.0, 40.0)],
        },
        "a caption",
    )
    (first,), (second,) = map(widths, figure.panels)
    assert first == 340 * 20 / 80
    assert second == 340
    assert "20.0 (10.0–30.0), 25%" in figure.panels[0]
    assert figure.alt == (
        "tokens per second, float32: companion plain 20.0 of at most 80.0; "
        "tokens per second, bfloat16: hugging face sdpa 40.0"
    )


def test_the_spread_and_the_bound_are_lines_at_their_places():
    speed = Speed("companion plain", 20.0, 10.0, 30.0, 60.0)
    (drawn,) = show.speeds_figure({"float32": [speed]}, "a caption").panels
    ends = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', drawn)
    assert ends == [("56.7", "170.0"), ("340.0", "340.0")]


def test_a_form_of_nobody_is_refused():
    with pytest.raises(ValueError, match="'vllm' begins with none of companion"):
        show.speeds_figure({"float32": [Speed("vllm", 1.0, 1.0, 1.0)]}, "a caption")


def test_quality_is_a_row_for_each_form_and_one_for_the_reference():
    exact = {"cosine": 1.0, "max_difference": 0.0, "perplexity": 17.0}
    near = {"cosine": 0.999, "max_difference": 1.25, "perplexity": 17.5}
    families = {
        name: {"quality": {"float32": exact, "companion plain": near}}
        for name in ("float32", "bfloat16")
    }
    _, *rows = repr(show.quality_table(families)).splitlines()
    assert [row.split() for row in rows] == [
        ["float32", "float32", "1.00000", "0", "17.00"],
        ["float32", "companion", "plain", "0.99900", "1.2", "17.50"],
        ["bfloat16", "companion", "plain", "0.99900", "1.2", "17.50"],
    ]


def test_stacked_bars_have_one_scale_and_say_their_sums():
    rows = {"short": (100, 0, 20), "long": (100, 200, 100)}
    figure = stacked_bars(rows, ("a", "b", "c"), unit="B", caption="a caption")
    (drawn,) = figure.panels
    legend, bars = widths(drawn)[:3], widths(drawn)[3:]
    assert legend == [12, 12, 12]
    assert bars == [85, 17, 85, 170, 85]  # a part of nothing has no box
    assert "120 B" in drawn
    assert (
        figure.alt == "short: a 100 B, b 0 B, c 20 B; long: a 100 B, b 200 B, c 100 B"
    )


def test_stacked_bars_refuse_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="5 parts"):
        stacked_bars({"x": (1,) * 5}, "abcde", unit="B", caption="")
    with pytest.raises(ValueError, match="x: give a size for each of"):
        stacked_bars({"x": (1, 2)}, ("a",), unit="B", caption="")
