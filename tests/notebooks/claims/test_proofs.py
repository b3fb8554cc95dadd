"""Which printed numbers and which entries prove a number of the text."""

import pytest

from claims import entries
from claims.check import problems
from claims.evidence import evidence
from claims.outputs import Printed, shown
from claims.pages import Page, Passage, constants, typed_in
from claims.proofs import claims, is_near, proofs
from claims.sentences import Sentence, sentences

NEAR = [
    Printed(3, 1, "28.8 GB, 0.236, 1,234 and (12, 64)"),
    Printed(3, 1, "34.4", "GB/s read float32"),
    Printed(3, 1, "1.72×, 38%"),
    Printed(9, 2, "in 45 layers, 512 and 77"),
]
GIVEN = [
    entries.entry(
        {"claim": "80 GB", "kind": "published", "source": "2022", "pages": ["a"]}
    ),
    entries.entry({"claim": "32 layers", "kind": "counted", "is": "32"}),
    entries.entry({"claim": "9.1 ms", "kind": "measured", "file": "x", "is": "y"}),
    entries.entry({"claim": "7.5 ms", "kind": "counted", "is": "7.5e-3"}),
]


def proven(text, printed=NEAR):
    page = Page("a", [Passage(2, 1, text)], printed)
    found = [claim for said in sentences(page) for claim in claims("a", said)]
    return proofs(found, evidence(page), GIVEN)


@pytest.mark.parametrize(
    "text",
    [
        "29 GB, or 28.8 GB",
        "It is 0.24.",
        "1,234 of 12 by 64 tokens",
        "It reads 34 GB a second.",
        "1.7 times as much, and 38% of it",
        "45 layers and 512 tokens",
        "An H100 has 80 GB.",
        "32 decoder layers",
        "It was measured: 9.1 ms.",
        "It takes 7.5 ms.",
        "It takes 7.5 ms. None of it was measured.",
        "It takes 7.5 ms.\n\nWhat follows was measured.",
        "4 · 12 = 48",
        "29 GB, and later 29 GB",
    ],
)
def test_proven(text):
    assert all(proven(text))


@pytest.mark.parametrize(
    "text",
    [
        "28 GB",
        "29 MB",
        "It is 0.23.",
        "It is 0.2361.",
        "1,235 tokens",
        "45 rows",
        "77 rows",
        "81 GB",
        "32 tokens",
        "It was measured: 7.5 ms.",
        "It takes 7.5 ms. All of it was measured.",
        "4 · 12 = 49",
        "It reads 34 GB.",
    ],
)
def test_unproven(text):
    assert "" in proven(text)


def test_what_was_typed_proves_nothing():
    caption = "There are 1,234 of them in this picture, as one sees."
    source = f"show.curves(x, caption={caption!r})\nprint('a label of 5,678 letters')"
    typed, captions = typed_in(source)
    assert captions == [caption]
    drawn = f"<figure><figcaption>{caption}</figcaption>{caption}<td data-label='MB'>12.5</td>"
    printed = shown({"data": {"text/html": drawn}}, 3, 1, typed)
    assert proven(caption, printed) == [""]
    assert proven("12.5 MB", printed) == ["printed"]
    assert proven("12.5 GB", printed) == [""]


def test_an_exercise_asks_about_the_numbers_of_its_solution():
    printed = [Printed(3, 1, constants("f(hidden_size=2_048, of='4096')  # 8192"))]
    assert proven("It has a hidden size of 2,048.", printed) == ["printed"]
    assert proven("It has a hidden size of 2,047.", printed) == [""]
    assert proven("It has a hidden size of 4,096, or 8,192.", printed) == ["", ""]


def test_an_intensity_is_proven_with_its_unit_and_without():
    drawn = "<table><tr><td data-label='FLOPs/byte'>92.2</td></tr></table>"
    printed = shown({"data": {"text/html": drawn}}, 3, 1, [])
    assert proven("It is 92.2.", printed) == ["printed"]
    assert proven("It is 92.2 FLOPs for each byte.", printed) == ["printed"]
    assert proven("It is 92.3.", printed) == [""]


def test_the_failure_says_where_and_what():
    page = Page(
        "a", [Passage(2, 1, "It has 28.9 GB.")], NEAR, ["x = 1"], "It has 28.9 GB."
    )
    assert problems(page) == [
        "a, cell 2: '28.9 GB' was not printed, nor is it in book/claims.yml, nearest is "
        "28.8 of cell 3: It has 28.9 GB."
    ]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"claim": "2.2 GB", "kind": "counted", "is": "1000 * 500 * 11 * 99 * 4"}, ""),
        ({"claim": "2.3 GB", "kind": "counted", "is": "1000 * 500 * 11 * 99 * 4"}, "2.178"),
        ({"claim": "30 layers", "kind": "counted", "is": "smollm2.num_hidden_layers"}, ""),
        ({"claim": "31 layers", "kind": "counted", "is": "smollm2.num_hidden_layers"}, "30"),
        ({"claim": "80 GB", "kind": "published", "source": "nvidia2022h100"}, ""),
        ({"claim": "80 GB", "kind": "counted", "is": "80e9"}, "says it again"),
        ({"claim": "49,152", "kind": "printed", "pages": ["map"]}, ""),
        ({"claim": "12.345", "kind": "printed", "pages": ["map"]}, "no cell of map"),
        ({"claim": "80 GB", "kind": "counted", "is": "nobody"}, "NameError"),
        ({"claim": "80 GB", "kind": "published", "source": "somewhere"}, "references.bib"),
        (
            {"claim": "132 of them", "kind": "measured", "file": "gpu-2026-11-27",
             "is": "raw['multiprocessors']"},
            "",
        ),
        (
            {"claim": "133 of them", "kind": "measured", "file": "gpu-2026-11-27",
             "is": "raw['multiprocessors']"},
            "132",
        ),
    ],
)  # fmt: skip
def test_entries(given, wrong):
    found = entries.problem(given)
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_an_entry_is_worth_its_expression():
    given = {"claim": "135 million", "kind": "counted", "is": "parameters(smollm2)"}
    assert entries.exact(given).number.value == 134_515_008
    assert entries.entry(given).number.value == 135e6


def test_an_entry_has_what_its_kind_needs():
    with pytest.raises(ValueError, match="source"):
        entries.entry({"claim": "80 GB", "kind": "published"})


@pytest.mark.parametrize(
    ("cell", "section", "near"), [(4, 1, True), (5, 1, False), (4, 2, False)]
)
def test_two_digits_are_proven_nearby(cell, section, near):
    [number] = evidence(Page("a", [], [Printed(cell, section, "12")]))
    assert is_near(number, Sentence(2, 1, "")) == near


@pytest.mark.parametrize(
    "text", ["045 layers", "12 bytes", "777 GB/s", "a third of it", "0.00"]
)
def test_alike_is_not_enough(text):
    """A slip, a number without its unit, one with another unit, a fraction far away, a nought."""
    printed = [*NEAR, Printed(9, 1, "777 GB, 0.001, 33%, 45 layers")]
    assert proven(text, printed) == [""]


def test_the_letter_of_an_axis_is_no_part_of_its_size():
    drawn = '<td>(1, <span class="size">576</span><span class="letter">m</span>)</td>'
    assert proven("576 features", shown({"data": {"text/html": drawn}}, 3, 1, [])) == [
        "printed"
    ]


def test_the_unit_of_a_table():
    head = "<tr><th>MiB at</th><th>1k</th></tr>"
    drawn = f"<table>{head}<tr><th>plain</th><td data-label='1k'>72</td></tr></table>"
    drawn += "<table><tr><th>form</th></tr><tr><th>plain</th><td>95</td></tr></table>"
    printed = shown({"data": {"text/html": drawn}}, 3, 1, [])
    assert proven("72 MiB", printed) == ["printed"]
    assert proven("72 bytes", printed) == [""]
    assert proven("95 MiB", printed) == [""]


def test_a_unit_that_is_said_once():
    printed = [Printed(9, 1, "72 MiB, 18,504 MiB, 6.44 bits, 6.14 bits")]
    text = "72 MiB in place of {} at last, and 6.44 bits in place of {}."
    assert all(proven(text.format("18,504", "6.14"), printed))
    assert proven(text.format("18,503", "6.13"), printed)[1::2] == ["", ""]
    assert proven("72 MiB and 6.14 apples", printed) == ["printed", ""]


def test_the_unit_of_a_list():
    printed = [
        Printed(9, 1, "tokens per second, float32: a 21.3 of at most 47.8; 61 of 62")
    ]
    assert proven("21 tokens a second, 48 tokens a second", printed) == ["printed"] * 2
    assert proven("61 tokens a second", printed) == [""]
