"""Tables as the book shows them: HTML in a page or notebook, aligned columns in a
terminal; and numbers that are read at a glance.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

from companion.show.look.chips import shape_chips
from companion.show.look.code import look_once
from companion.show.look.palette import named

STACKED = 3  # columns from which on a table becomes cards on a phone
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
NUMBER = re.compile(r"([-+<>≤] ?)?[\d,.×% ]+(e-?\d+)?([kKMGTPE]?B?|m?s)")


@dataclass(frozen=True)
class Code:
    """A cell that is source code, `depth` steps indented."""

    source: str
    depth: int = 0

    def __str__(self) -> str:
        return "  " * self.depth + self.source


@dataclass(frozen=True)
class Shape:
    """A cell that is a shape, and its axes in words if they are known."""

    sizes: tuple[int, ...]
    axes: str = ""

    def __str__(self) -> str:
        return f"{self.sizes}  {self.axes}".rstrip()


@dataclass(frozen=True)
class Links:
    """A cell that names elements of the page by their ids, and leads to each."""

    ids: Sequence[str]

    def __str__(self) -> str:
        return ", ".join(self.ids)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head; shown as HTML where that is possible, else as text.

    What stands in parentheses is a shape and stays on one line; an int gets its
    thousands separated. With three columns or more each row is a card on a phone, whose
    cells carry the head of their column. Of a table of checks the `summary` says in a line
    what was found, alike on every machine.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    summary: str = ""
    stacked: ClassVar[int] = STACKED

    def __repr__(self) -> str:
        rows = [list(self.head)] + [
            [as_text(cell) for cell in row] for row in self.rows
        ]
        widths = [
            max(len(row[column]) for row in rows) for column in range(len(self.head))
        ]
        lines = (
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        return look_once() + self.html()

    def html(self) -> str:
        """The table alone, without the look's rules."""
        numeric = [mostly_numbers(column) for column in zip(*self.rows, strict=True)]
        kinds = [' class="number"' if numbers else "" for numbers in numeric]
        head = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>'
            for name, kind in zip_longest(self.head, kinds, fillvalue="")
        )
        body = "".join(f"<tr>{self.row_html(row, numeric)}</tr>" for row in self.rows)
        inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        classes = (
            "companion-ledger companion-cards" if self.stacks else "companion-ledger"
        )
        found = f' data-summary="{html.escape(self.summary)}"' if self.summary else ""
        return f'<table class="{classes}"{found}>{inside}</table>'

    @property
    def stacks(self) -> bool:
        """Whether a row is a card on a phone."""
        return len(self.head) >= self.stacked

    def row_html(self, row: Sequence[object], numeric: Sequence[bool]) -> str:
        """The cells of a row in a page. The first heads it; each of the others carries the
        head of its column, and so does the first of a card if it is a number or a shape,
        which do not say by themselves what they are.
        """
        cells = []
        for place, (cell, name, number) in enumerate(
            zip(row, self.head, numeric, strict=True)
        ):
            kind, shown = cell_html(cell)
            kind = kind or "number" * number
            tag = "td" if place or not shown else 'th scope="row"'
            label = name if self.stacks and (place or kind) else ""
            cells.append(
                f"<{tag}{attribute('data-label', label)}{attribute('class', kind)}>"
                f"{shown}</{tag[:2]}>"
            )
        return "".join(cells)


class StepTable(Table):
    """A table whose first column is code, above the other cells on a phone however few
    they are.
    """

    stacked = 2


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of anything that prints."""
    return Table(head, [list(row) for row in rows])


def attribute(name: str, value: str) -> str:
    """An attribute of an element, none for an empty value."""
    return f' {name}="{html.escape(value)}"' if value else ""


def mostly_numbers(column: Sequence[object]) -> bool:
    """Whether more cells of a column are numbers than not, the empty ones aside: then
    they and their head stand right, digit below digit.
    """
    texts = [as_text(cell) for cell in column if not isinstance(cell, Code | Shape)]
    filled = [text for text in texts if text]
    return 2 * sum(bool(NUMBER.fullmatch(text)) for text in filled) > len(filled)


def as_text(cell: object) -> str:
    """A cell in a terminal."""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def cell_html(cell: object) -> tuple[str, str]:
    """What a cell is if it says so by itself, and its HTML."""
    lines = cell if isinstance(cell, tuple) else (cell,)
    if lines and all(isinstance(line, Code) for line in lines):
        return "", "".join(map(code_html, lines))
    if isinstance(cell, Shape):
        return "shape", shape_html(cell)
    if isinstance(cell, Links):
        links = (f'<a href="#{each}">{html.escape(each)}</a>' for each in cell.ids)
        return "", ", ".join(links)
    text = html.escape(as_text(cell))
    return ("shape" if text.startswith("(") and text.endswith(")") else ""), text


def code_html(code: Code) -> str:
    """A line of code, indented by its depth."""
    depth = attribute("style", f"--depth:{code.depth}" if code.depth else "")
    return f"<code{depth}>{html.escape(code.source)}</code>"


def shape_html(shape: Shape) -> str:
    """A shape in chips; below it the names of axes that have none."""
    names = (
        shape.axes.strip("()").split(", ") if shape.axes else [""] * len(shape.sizes)
    )
    if shape.axes == "()" or not shape.sizes:
        return str(shape.sizes)
    bare = [name for name in names if not named(name) and not name.isdigit()]
    below = f'<br><span class="axes">{html.escape(", ".join(bare))}</span>'
    return shape_chips(shape.sizes, names) + (below if any(bare) else "")


def amount(number: int, unit: str = "") -> str:
    """A count, exact below 10,000, else three digits with a prefix: kB is 1000 bytes."""
    if number < 10_000:
        return f"{number:,} {unit}".rstrip()
    digits, exponent = f"{number:.2e}".split("e")
    power, over = divmod(int(exponent), 3)
    return f"{float(digits) * 10**over:.{2 - over}f} {PREFIXES[power]}{unit}"


def ratio(number: float) -> str:
    """A quotient in about three digits, and nothing for none."""
    if not number:
        return ""
    decimals = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{decimals}f}"
