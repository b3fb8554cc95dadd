"""A source that code or a chapter names is in the bibliography, under the name by which it is cited."""

import re

import browse
import pytest
import toc
from bibliography_style import names
from pybtex.database import parse_file

BIBLIOGRAPHY = parse_file(str(toc.ROOT / "book" / "references.bib"))
SOURCE = re.compile(r"Source: (.*?)(?:\n\s*\n|\"\"\"|$)", re.DOTALL)
NAMED = re.compile(
    r"([A-Z][\w-]+)((?: et al\.|(?:, [A-Z]\w+)* and [A-Z]\w+)?),? \(?((?:19|20)\d\d)\b"
)
FILES = [
    *(toc.ROOT / "companion").rglob("*.py"),
    *(toc.ROOT / "book").glob("*.ipynb"),
    *(toc.ROOT / "book").glob("*.md"),
]


def sources():
    """First author and year of each paper that a file names as its source, with the file."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        found = SOURCE.findall(text) if file.suffix == ".py" else [text]
        for source in found:
            for author, others, year in NAMED.findall(" ".join(source.split())):
                if file.suffix == ".py" or others:
                    yield author, year, file.name


def known():
    entries = BIBLIOGRAPHY.entries.values()
    return {
        (names(entry).split(" et al.")[0].split(" and ")[0], entry.fields["year"])
        for entry in entries
    }


def test_every_source_is_in_the_bibliography():
    found = [*sources()]
    assert len(found) > 30
    assert not [source for source in found if source[:2] not in known()]


@pytest.mark.parametrize(
    "text",
    [
        "Fan et al. (2018)",
        "Kudo and Richardson (2018)",
        "Shazeer 2020, x",
        "Williams, Waterman and Patterson 2009",
    ],
)
def test_a_source_is_recognized(text):
    author, _, year = NAMED.search(text).groups()
    assert (author, year) in known()


def test_a_paper_on_arxiv_is_linked(site):
    page = browse.parsed(site / "book" / "bibliography.html")
    links = {link["href"] for link in page.select(".citation a.external")}
    papers = [
        entry.fields["eprint"]
        for entry in BIBLIOGRAPHY.entries.values()
        if "eprint" in entry.fields
    ]
    assert len(papers) > 20
    assert not [
        paper for paper in papers if f"https://arxiv.org/abs/{paper}" not in links
    ]
    assert not [
        key
        for key, entry in BIBLIOGRAPHY.entries.items()
        if "arXiv" in entry.fields.get("journal", "")
    ]


def test_a_label_is_what_chapters_cite(site):
    page = browse.parsed(site / "book" / "bibliography.html")
    labels = [label.get_text().strip("[]") for label in page.select(".citation .label")]
    assert len(labels) == len({*labels}) == len(BIBLIOGRAPHY.entries)
    assert labels == sorted(labels, key=str.casefold)
    cited = {
        link.get_text()
        for name in toc.pages()
        for link in browse.parsed(site / f"{name}.html").select(".bibtex-citation a")
    }
    assert len(cited) > 20
    assert cited <= {*labels}
