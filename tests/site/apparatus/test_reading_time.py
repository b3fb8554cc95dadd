"""The minutes under a chapter's title."""

import re

import browse
import cells
import pytest
import reading_time
import toc
from docutils import nodes


def cell(code: str, *tags: str) -> nodes.container:
    block = nodes.literal_block("", code, language="ipython3")
    inside = nodes.container("", block, classes=["cell_input"])
    return nodes.container(
        "", inside, classes=["cell"], cell_metadata={"tags": [*tags]}
    )


def page(*children: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)
    document += children
    return document


def test_words_are_those_of_sentences():
    output = nodes.container("", nodes.paragraph("", "not these"), classes=["cell"])
    assert reading_time.words(page(nodes.paragraph("", "one two three"), output)) == 3


@pytest.mark.parametrize(
    ("tag", "count"),
    [("", 2), *((tag, 0) for tag in (*cells.KINDS, "hide-input", "hide-cell"))],
)
def test_lines_are_those_of_open_cells(tag, count):
    assert reading_time.lines(page(cell("a = 1\n\nb = 2", tag))) == count


def test_a_listing_is_code_and_what_a_cell_prints_is_not():
    listing = nodes.literal_block("", "def f():\n    return 1", language="python")
    printed = nodes.literal_block("", "1\n2\n3", language="myst-ansi")
    folded = cell("show.source(f)", "source")
    folded += nodes.container("", listing, printed, classes=["cell_output"])
    assert reading_time.lines(page(folded)) == 2


@pytest.mark.parametrize("name", toc.numbered())
def test_a_chapter_says_how_long_it_is(name, site):
    below = (
        browse.parsed(site / f"{name}.html")
        .select_one("article h1")
        .find_next_sibling()
    )
    assert below["class"] == ["reading-time"]
    minutes, words, lines = (
        int(n.replace(",", "")) for n in re.findall(r"[\d,]+", below.get_text())
    )
    assert minutes == round(words / 200 + lines / 15)
    assert 3 <= minutes <= 60
