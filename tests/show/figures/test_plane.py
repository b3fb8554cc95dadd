"""A plane for curves and dots: where values lie, and where the ticks are."""

import pytest

from companion.show.figures.plane import Plane, Scale


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (-64, 64, False, [-50, 0, 50]),
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-5.4, 2.1, False, [-4, -2, 0, 2]),
        (0.1, 300, True, [0.1, 1, 10, 100]),
        (1e9, 3e14, True, [1e9, 1e10, 1e11, 1e12, 1e13, 1e14]),
        (1, 1e20, True, [1, 1e5, 1e10, 1e15, 1e20]),
    ],
)
def test_ticks_are_round_and_few(low, high, log, ticks):
    found = Scale(low, high, "", log=log).ticks()
    assert found == pytest.approx(ticks)
    assert len(found) <= 7


def test_values_have_their_places():
    plane = Plane(Scale(1, 100, "x", log=True), Scale(-1, 1, "y"))
    left, low = plane.place(1, -1)
    right, high = plane.place(100, 1)
    assert plane.place(10, 0) == ((left + right) / 2, (low + high) / 2)
    assert left < right
    assert high < low  # up is more


def test_what_is_drawn_is_in_the_svg():
    plane = Plane(Scale(0, 1, "time"), Scale(0, 1, "speed"))
    plane.line([(0, 0), (1, 1)], dash="2 3")
    plane.dot(0.5, 0.5)
    drawn = plane.svg("a line through a dot")
    assert 'aria-label="a line through a dot"' in drawn
    assert drawn.count("<circle") == 1
    assert 'stroke-dasharray="2 3"' in drawn
    assert ">time</text>" in drawn
    assert ">speed</text>" in drawn
