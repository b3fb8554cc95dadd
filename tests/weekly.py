"""Variants for which every week is soon enough, as their neighbors run every time: `make weekly`."""

from collections.abc import Iterable

import pytest


def mostly(values: Iterable, *every_time) -> list:
    """The values for a `parametrize`, all but those of `every_time` marked as weekly."""
    return [
        value if value in every_time else pytest.param(value, marks=pytest.mark.weekly)
        for value in values
    ]
