"""The palette can be read and told apart, on every ground and by readers who see fewer colors."""

from itertools import combinations

import pytest
from vision import DEFICIENCIES, contrast, difference, over

from companion.show.figures.legends import TINTS
from companion.show.figures.lines import PATTERNS, axis_line
from companion.show.look.palette import (
    ACTIVATIONS,
    ALSO,
    AXES,
    CACHED,
    EDGE,
    FOCUS,
    GROUNDS,
    MOST,
    MUTED,
    NEGATIVE,
    POSITIVE,
    SURFACE,
    TEXT,
    WEIGHTS,
    named,
)
from companion.show.look.stylesheet import LINES

MODES = ("light", "dark")
KINDS = (WEIGHTS, ACTIVATIONS, CACHED, SURFACE)
# The least distance of two axes in OKLab, as far as this palette reaches. What is nearer than
# TOLD_APART is told apart by letters and lines.
FLOORS = {
    "light": {
        "none": 0.17,
        "protanopia": 0.13,
        "deuteranopia": 0.12,
        "tritanopia": 0.09,
    },
    "dark": {
        "none": 0.135,
        "protanopia": 0.1,
        "deuteranopia": 0.1,
        "tritanopia": 0.075,
    },
}
TOLD_APART = 0.15
SIGNS = 0.2


def of(ink, mode):
    return getattr(ink, mode)


def grounds(mode):
    """The page, and what tensors lie on."""
    return [*GROUNDS[mode], *(of(kind, mode) for kind in KINDS)]


def near(mode, seen_by):
    """How far apart each two axes are."""
    return {
        (one.name, other.name): difference(
            of(one.ink, mode), of(other.ink, mode), seen_by
        )
        for one, other in combinations(AXES.values(), 2)
    }


def test_the_measures_are_those_of_their_sources():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert difference("#000000", "#ffffff", DEFICIENCIES["none"]) == pytest.approx(
        1, abs=1e-4
    )
    for seen_by in DEFICIENCIES.values():  # gray stays gray
        assert seen_by.sum(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    red, green = "#c00000", "#4d5a00"
    apart = {name: difference(red, green, m) for name, m in DEFICIENCIES.items()}
    assert apart["deuteranopia"] < apart["none"] / 2


@pytest.mark.parametrize("mode", MODES)
class TestContrast:
    def test_words_and_letters(self, mode):
        for ground in GROUNDS[mode]:
            for axis in AXES.values():
                assert contrast(of(axis.ink, mode), ground) >= 4.6, (axis.name, ground)
            for ink in (TEXT, MUTED, FOCUS):
                assert contrast(of(ink, mode), ground) >= 4.6, (ink.name, ground)

    def test_strokes(self, mode):
        for ground in grounds(mode):
            for ink in (EDGE, FOCUS, *(axis.ink for axis in AXES.values())):
                assert contrast(of(ink, mode), ground) >= 3, (ink.name, ground)
        for sign in (POSITIVE, NEGATIVE):  # the wedge
            assert contrast(of(sign, mode), GROUNDS[mode][0]) >= 3

    def test_digits_on_the_strongest_fills(self, mode):
        for ground in grounds(mode):
            for sign in (POSITIVE, NEGATIVE):
                fill = over(of(sign, mode), ground, MOST[mode])
                assert contrast(of(TEXT, mode), fill) >= 5.6, (sign.name, ground)

    def test_words_on_tints(self, mode):
        for ground in GROUNDS[mode]:
            for tint in TINTS[1:]:
                fill = over(of(TEXT, mode), ground, tint)
                assert contrast(of(TEXT, mode), fill) >= 4.6, (tint, ground)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sight", DEFICIENCIES)
class TestDifference:
    def test_axes_are_as_far_apart_as_the_palette_reaches(self, mode, sight):
        nearest = min(near(mode, DEFICIENCIES[sight]).items(), key=lambda each: each[1])
        assert nearest[1] >= FLOORS[mode][sight], nearest

    def test_axes_that_come_near_differ_in_letter_and_line(self, mode, sight):
        found = near(mode, DEFICIENCIES[sight]).items()
        for (one, other), apart in found:
            if apart < TOLD_APART:
                assert AXES[one].letter != AXES[other].letter
                assert AXES[one].line != AXES[other].line

    def test_signs_are_far_apart(self, mode, sight):
        signs = of(POSITIVE, mode), of(NEGATIVE, mode)
        assert difference(*signs, DEFICIENCIES[sight]) >= SIGNS


def test_every_axis_has_a_letter_and_a_line_of_its_own():
    letters = {axis.letter for axis in AXES.values()}
    lines = {axis.line for axis in AXES.values()}
    assert len(letters) == len(lines) == len(AXES)
    assert lines == set(LINES) == set(PATTERNS)
    drawn = {
        axis_line((0, 0), (40, 0), name).replace(str(axis.ink), "")
        for name, axis in AXES.items()
    }
    assert len(drawn) == len(AXES)
    assert len({LINES[line] for line in lines}) == len(AXES)


def test_an_axis_has_one_look_under_all_its_names():
    for name in ALSO:
        assert named(name) in AXES.values()
        assert name not in AXES
    assert named("vocab") is None


@pytest.mark.parametrize("down", [(0, 30), (30, 0), (18, -18)])
@pytest.mark.parametrize("axis", AXES)
def test_a_line_goes_from_point_to_point(axis, down):
    drawn = axis_line((10, 50), (10 + down[0], 50 + down[1]), axis)
    assert drawn.count("<path") == 1
    assert str(AXES[axis].ink) in drawn
    if AXES[axis].line in ("solid", "thick", "dashed", "dotted"):
        assert f"M10 50L{10 + down[0]} {50 + down[1]}" in drawn
