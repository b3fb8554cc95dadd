import re

import pytest

from companion import show
from companion.show.measurements.speeds import Speed

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
    # the package's own has a second box, its frame
    assert [widths(panel) for panel in figure.panels] == [[85, 85], [340]]
    assert "20.0 (10.0–30.0), 25%" in figure.panels[0]
    assert figure.alt == (
        "tokens per second, float32: companion plain 20.0 of at most 80.0; "
        "tokens per second, bfloat16: hugging face sdpa 40.0"
    )


def test_the_spread_and_the_bound_are_lines_at_their_places():
    speed = Speed("companion plain", 20.0, 10.0, 30.0, 60.0)
    (drawn,) = show.speeds_figure({"float32": [speed]}, "a caption").panels
    ends = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', drawn)
    assert ends == [("57.7", "171.0"), ("341.0", "341.0")]


def test_a_form_of_nobody_is_refused():
    with pytest.raises(ValueError, match="'vllm' begins with none of companion"):
        show.speeds_figure({"float32": [Speed("vllm", 1.0, 1.0, 1.0)]}, "a caption")
