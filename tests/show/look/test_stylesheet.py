"""The stylesheet has every color in both modes, and print is light."""

import re

from companion.show.look.palette import AXES, INKS
from companion.show.look.stylesheet import DARK, LINES, rules, stylesheet


def blocks():
    """The declarations of the light and of the dark variables."""
    light, dark = re.findall(r"\{ ([^{}]*--look-text:[^{}]*) \}", stylesheet())
    return light, dark


def test_every_color_is_a_variable_in_both_modes():
    for declared, mode in zip(blocks(), ("light", "dark"), strict=True):
        for ink in INKS:
            assert f"--look-{ink.name}: {getattr(ink, mode)};" in declared
        assert "--look-most: 0." in declared
    assert len({ink.name for ink in INKS}) == len(INKS)


def test_every_variable_that_is_used_is_declared():
    used = set(re.findall(r"var\(--look-([\w-]+)", rules()))
    assert used <= {ink.name for ink in INKS} | {"most"}


def test_print_has_no_dark_rule():
    sheet = stylesheet()
    start = sheet.index("@media not print {")
    depth, end = 0, start
    for end in range(start, len(sheet)):
        depth += {"{": 1, "}": -1}.get(sheet[end], 0)
        if depth == 0 and sheet[end] == "}":
            break
    for dark in DARK:
        assert sheet.count(dark) == 1
        assert start < sheet.index(dark) < end
    for ink in INKS:
        if ink.dark != ink.light:
            assert ink.dark not in sheet[:start] + sheet[end:], ink.name


def test_every_axis_has_its_color_and_line():
    for axis in AXES.values():
        rule = (
            f'[data-axis="{axis.letter}"], .axis-{axis.letter} '
            f"{{ --axis: {axis.ink}; --axis-line: {LINES[axis.line]}; }}"
        )
        assert rule in rules()


def test_braces_are_balanced():
    assert stylesheet().count("{") == stylesheet().count("}")
