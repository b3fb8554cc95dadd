"""What a chapter calls the next chapter, or the last one, is that in the table of contents."""

import json
import re

import pytest
import toc

PAGES = toc.pages()
LINK = re.compile(r"\[([^]]*)\]\((\w+)\.(?:ipynb|md)[^)]*\)")
NEXT = re.compile(r"^Next: .*?$", re.MULTILINE)
AFTER = r"(?:next|following) chapter|chapter after"
BEFORE = r"(?:last|previous|preceding) chapter|chapter before"
NEIGHBOR = re.compile(rf"\b(?:({AFTER})|({BEFORE}))\b(?! of)", re.IGNORECASE)


def text_of(page):
    """The text of a chapter; each cell is a paragraph, or several."""
    cells = json.loads((toc.ROOT / f"{page}.ipynb").read_text())["cells"]
    return "\n\n".join(
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
    )


def wrong_names(text, before, after):
    """Sentences about a neighbor that name none, or another page than it."""
    problems = []
    for sentence in NEXT.findall(text):
        found = LINK.search(sentence)
        if not found or found[2] != after:
            problems.append(f"the next page is {after}: {sentence}")
    links = list(LINK.finditer(text))
    for mention in NEIGHBOR.finditer(text):
        around = [x[2] for x in links if x.start() < mention.start() < x.end()]
        expected = after if mention[1] else before
        if around != [expected]:
            problems.append(f"{mention[0]!r} links to {around}, not to {expected}")
    return problems


def neighbors(page):
    names = [None, *(name.rpartition("/")[2] for name in PAGES), None]
    place = PAGES.index(page) + 1
    return names[place - 1], names[place + 1]


@pytest.mark.parametrize("page", [path[: -len(".ipynb")] for path in toc.notebooks()])
def test_neighbors_have_their_names(page):
    assert not wrong_names(text_of(page), *neighbors(page))


@pytest.mark.parametrize("page", toc.numbered())
def test_each_chapter_ends_with_the_next(page):
    *_, last = text_of(page).rstrip().split("\n\n")
    assert len(NEXT.findall(text_of(page))) == 1
    assert NEXT.search(last)


@pytest.mark.parametrize(
    "text",
    [
        "Next: the costs, [what it costs](costs.ipynb), and [the API](api.md).",
        "See [the next chapter](costs.ipynb), and in the [last chapter](rope.ipynb#a)",
        "The last chapter of the book, the next token, [a chapter](gqa.ipynb)",
    ],
)
def test_right(text):
    assert wrong_names(text, "rope", "costs") == []


@pytest.mark.parametrize(
    "text",
    [
        "Next: [an encoder](encoder_decoder.ipynb), then [costs](costs.ipynb).",
        "Next: what it costs.",
        "See [the next chapter](rope.ipynb).",
        "See [the chapter before](costs.ipynb).",
        "As in the last chapter, and [the costs](costs.ipynb)",
        "The next chapter has more.",
    ],
)
def test_wrong(text):
    assert len(wrong_names(text, "rope", "costs")) == 1
