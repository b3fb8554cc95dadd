"""What the pages of the book claim is so: numbers, equalities, names and links.

A test for each page. What it says names the cell, what is wrong, and the sentence.
"""

import pytest

from claims import check
from claims.check import problems, unused
from claims.entries import entry
from claims.entries import problems as problems_of_entries
from claims.mutants import mutants, survivors
from claims.outputs import Printed
from claims.pages import Page, Passage, paths, read
from claims.proofs import claims
from claims.sentences import Sentence

REJECTED = (
    0.94  # of the wrong digits, at least; the others are digits of another number there
)


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_page(path):
    if found := problems(read(path)):
        pytest.fail("\n".join(found), pytrace=False)


def test_entries_are_true():
    assert not problems_of_entries()


def test_entries_are_used():
    assert not unused()


def test_wrong_digits_are_rejected():
    """In each number of the book that is proven, each digit one more and one less."""
    planted, alive = 0, []
    for path in paths():
        count, believed = survivors(read(path))
        planted, alive = planted + count, alive + believed
    assert 1 - len(alive) / planted >= REJECTED, "\n".join(alive)


def test_an_entry_that_nothing_needs(monkeypatch):
    nobody = entry({"claim": "123.456 TB", "kind": "assumed", "why": "nothing"})
    monkeypatch.setattr(check, "entries", lambda: [nobody])
    assert len(check.unused()) == 1


def test_mutants():
    said = Sentence(1, 1, "It has 6.5·10⁻⁸ of them.")
    [number] = claims("a", said)
    assert [text[7:13] for text in mutants(number)] == [
        "7.5·10",
        "5.5·10",
        "6.6·10",
        "6.4·10",
    ]


def test_survivors():
    """What was printed too, or said and proven elsewhere on the page, would be believed."""
    printed = [Printed(1, 1, "12 13"), Printed(9, 2, "16")]
    said = [Passage(2, 1, "It has 12 layers."), Passage(9, 2, "And 16 rows.")]
    assert survivors(Page("a", said, printed)) == (8, ["a: '12' in It has 13 layers."])
    said[1] = Passage(9, 2, "And 16 rows, 22 of them.")
    printed[1] = Printed(9, 2, "16 22")
    _, alive = survivors(Page("a", said, printed))
    assert "a: '12' in It has 22 layers." in alive
