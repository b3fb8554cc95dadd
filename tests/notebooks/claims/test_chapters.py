"""What the pages of the book claim is so: numbers, equalities, names and links.

A test for each page. What it says names the cell, what is wrong, and the sentence.
"""

import pytest

from claims.check import problems, unused
from claims.entries import problems as problems_of_entries
from claims.mutants import survivors
from claims.pages import paths, read

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
