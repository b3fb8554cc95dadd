"""The notation page gives each axis the letter and the line that it is drawn with."""

import re

import toc

from companion.show.look.palette import ALSO, AXES


def test_letters_and_lines_are_those_of_the_look():
    text = (toc.ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*) \|", text, re.MULTILINE))
    known = {**AXES, **ALSO}
    named = {name: mark for name, mark in rows.items() if name in known}
    assert set(AXES) <= set(named)
    for name, mark in named.items():
        assert mark == f"*{known[name].letter}*, {known[name].line}"
