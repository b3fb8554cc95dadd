"""Each fault has its card, and a symptom leads to it."""

import re

import pytest

from companion import show
from companion.exercises import CHAPTERS, FAULTS
from companion.show.fault_cards import entry
from companion.show.written_texts import on_a_line


def page():
    return "".join(show.fault_cards(chapter)._repr_html_() for chapter in CHAPTERS)


def test_every_fault_has_one_card_with_all_that_there_is_to_know():
    html = page()
    assert re.findall(r'class="fault" id="(\w+)"', html) == [
        name
        for chapter in CHAPTERS
        for name in FAULTS
        if FAULTS[name].chapter == chapter
    ]
    assert html.count("<dt>") == html.count("<dd>") == 6 * len(FAULTS)
    assert "<dd></dd>" not in html


@pytest.mark.parametrize("name", FAULTS)
def test_a_card_tells_what_it_is_asked_to(name):
    told = dict(entry(name))
    assert told["one sees"] == FAULTS[name].symptom
    assert re.fullmatch(r"shape \(.*\), as it should be; off by .+", told["output"])
    assert ("not planted: " in told["SmolLM2 writes"]) == isinstance(
        FAULTS[name].planted, str
    )
    assert (
        told["the grader"] == f"{FAULTS[name].grader}: {FAULTS[name].grade().message}"
    )


def test_every_symptom_leads_to_cards_and_every_fault_is_led_to():
    html, cards = show.symptoms()._repr_html_(), page()
    led_to = re.findall(r'href="#(\w+)"', html)
    assert {name for name in FAULTS if f'id="{name}"' in cards} >= set(led_to)
    assert all(len(cell.ids) > 1 for _, cell in show.symptoms().rows)
    alone = {n for n in FAULTS if FAULTS[n].chapter in ("encoder_decoder", "drop_in")}
    assert set(FAULTS) - set(led_to) <= alone


def test_text_is_shown_on_a_line():
    assert on_a_line("a\n\n\xa0b") == "a⏎⏎␣b"
    assert on_a_line(" x" + 12 * "HETATM") == " xHETATM (× 12)"
    assert on_a_line(12 * "-") == 12 * "-"


def test_tokens_are_in_a_box_as_long_as_they_are_right():
    figure = show.written_texts("bool_mask_added", "kv_tiled")
    right, bool_mask, tiled = figure.panels
    assert [p.count('class="token') for p in figure.panels] == [12, 12, 12]
    assert [p.count("token right") for p in figure.panels] == [12, 10, 0]
    assert '"token right"> sky</span>' in right
    assert '"token">⏎</span>' in bool_mask
    assert FAULTS["kv_tiled"].title in tiled
    assert "tiled 0 1 0 1, not repeated 0 0 1 1: 0 of 12 tokens" in figure.alt
    with pytest.raises(ValueError, match="no text is kept for key_not_transposed"):
        show.written_texts("key_not_transposed")


def test_a_card_prints_in_a_terminal():
    text = repr(show.fault_cards("gqa"))
    assert text.splitlines()[0].endswith("not repeated 0 0 1 1 (kv_tiled)")
    assert "  wrong line: return repeat(" in text
    with pytest.raises(ValueError, match="no fault of 'typo'"):
        show.fault_cards("typo")
