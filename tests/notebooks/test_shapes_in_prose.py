"""A shape that the text states was printed by a cell of the same chapter.

A claim is a tuple of two or more integers in inline code: `(2, 4)`. A call such as `view(2, 4)` is none.
"""

import html
import json
import re

import pytest
import toc

INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(?!\{).*?^ {0,3}\1", re.DOTALL | re.MULTILINE)
NUMBERS = r"\s*(\d+(?:\s*,\s*\d+)+)\s*,?\s*"
CLAIM = re.compile(rf"(?<![\w\])])\({NUMBERS}\)|Size\(\[{NUMBERS}\]\)")
PRINTED = re.compile(rf"\({NUMBERS}\)|\[{NUMBERS}\]")
TEXTS = ("text/plain", "text/html", "text/markdown")


def tuples(pattern, text):
    for match in pattern.finditer(text):
        numbers = next(group for group in match.groups() if group)
        yield tuple(int(number) for number in numbers.split(","))


def claims(notebook):
    """(cell, tuple) for every shape in the inline code of the text; cells count from 1, code included."""
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "markdown":
            prose = FENCE.sub("", "".join(cell["source"]))
            for code in INLINE_CODE.finditer(prose):
                yield from ((number, shape) for shape in tuples(CLAIM, code.group(2)))


def printed(notebook):
    """Every tuple in the stored outputs."""
    shapes = set()
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for text in [
                output.get("text", ""),
                *(data.get(kind, "") for kind in TEXTS),
            ]:
                plain = html.unescape(re.sub(r"<[^>]*>", "", "".join(text)))
                shapes.update(tuples(PRINTED, plain))
    return shapes


def unproven(notebook):
    shown = printed(notebook)
    return [
        f"cell {cell}: {shape} was never printed"
        for cell, shape in claims(notebook)
        if shape not in shown
    ]


@pytest.mark.parametrize("path", toc.notebooks())
def test_shapes_in_prose(path):
    assert not unproven(json.loads((toc.ROOT / path).read_text()))


def notebook(text, *outputs):
    return {
        "cells": [
            {"cell_type": "markdown", "source": [text]},
            {
                "cell_type": "code",
                "source": ["x.shape, (9, 9)"],
                "outputs": list(outputs),
            },
        ]
    }


STREAM = {"output_type": "stream", "name": "stdout", "text": ["x is (2, 4)\n"]}
SIZE = {
    "output_type": "execute_result",
    "data": {"text/plain": ["torch.Size([1, 8, 2])"]},
}
TABLE = {
    "output_type": "display_data",
    "data": {"text/html": ["<td>(<b>3</b>,&nbsp;5)</td>"]},
}


@pytest.mark.parametrize(
    "text",
    [
        "It is `(2, 4)`, then `(1, 8, 2)` or `torch.Size([1, 8, 2])`, and `(3,5)`.",
        "Neither `(4,)` nor `view(7, 7)` nor (7, 7) states a shape.",
        "```python\nx = (7, 7)\n```\nafter `(2, 4)`",
    ],
)
def test_proven(text):
    assert unproven(notebook(text, STREAM, SIZE, TABLE)) == []


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("It is `(4, 2)`.", (4, 2)),
        ("It is ``(7, 7)``, as `x` is", (7, 7)),
        ("The code's own `(9, 9)` was not printed.", (9, 9)),
        ("Scores `query @ key.mT` are `(1, 8, 2, 2)`.", (1, 8, 2, 2)),
        ("`torch.Size([2, 5])`", (2, 5)),
        ("```{note}\nIt is `(7, 7)`.\n```", (7, 7)),
    ],
)
def test_unproven(text, shape):
    assert unproven(notebook(text, STREAM, SIZE, TABLE)) == [
        f"cell 1: {shape} was never printed"
    ]
