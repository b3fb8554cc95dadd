"""The two tests that every grader has: what it accepts, and what it says of the rest."""

import re

import pytest


def accepts(check, *answers):
    @pytest.mark.parametrize("right", answers)
    def test(right):
        assert repr(check(right)) == "✓ right"

    return test


def rejects(check, *cases):
    @pytest.mark.parametrize(("wrong", "says"), cases)
    def test(wrong, says):
        grade = check(wrong)
        assert not grade.passed
        assert re.search(says, grade.message), grade
        assert repr(grade).startswith("✗")

    return test


def rejects_each(check, known):
    """Every wrong function that the grader knows, in the words that it has for it."""

    @pytest.mark.parametrize("says", known)
    def test(says):
        grade = check(known[says])
        assert not grade.passed
        assert says in grade.message

    return test
