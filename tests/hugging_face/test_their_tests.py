"""What Hugging Face's tests say of their Llama, they say of it with our layers."""

import unittest
from functools import cache

import pytest
from their_tests import our_layers, outcome, their_tests

TESTS = their_tests()
NAMES = unittest.defaultTestLoader.getTestCaseNames(TESTS)


@cache
def outcomes(name):
    """What comes of one of their tests with their layers, and with ours."""
    theirs = outcome(TESTS(name))
    with our_layers():
        return theirs, outcome(TESTS(name))


@pytest.mark.parametrize("name", NAMES)
def test_same_outcome(name):
    theirs, ours = outcomes(name)
    assert ours == theirs


def test_most_of_them_say_something_on_a_cpu():
    kinds = [outcomes(name)[0][0] for name in NAMES]
    assert kinds.count("passed") >= 100
    assert set(kinds) == {"passed", "skipped"}
