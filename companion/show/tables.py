"""Tables as the book shows them: HTML in a page or notebook, aligned columns in a
terminal; and numbers that are read at a glance.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

PREFIXES = ("", "k", "M", "G", "T", "P", "E")
NUMBER = re.compile(r"(-|< )?[\d,.×% ]+(e-?\d+)?([kMGTPE]?B?)")


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
class Table:
    """Rows of cells under a head; shown as HTML where that is possible, else as text.

    What stands in parentheses is a shape and stays on one line; an int gets its
    thousands separated.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    classes: ClassVar[str] = "companion-ledger"

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
        head = "".join(
            f'<th scope="col">{html.escape(name)}</th>' for name in self.head
        )
        body = "".join(f"<tr>{self.row_html(row)}</tr>" for row in self.rows)
        inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f'<table class="{self.classes}">{inside}</table>'

    def row_html(self, row: Sequence[object]) -> str:
        """The cells of a row in a page."""
        return "".join(map(as_html, row))


class StepTable(Table):
    """A table whose first column is code: on a phone each row is stacked, the code
    above the cells, which carry the head of their column.
    """

    classes = "companion-ledger companion-steps"

    def row_html(self, row: Sequence[object]) -> str:
        """The cells of a row in a page, each with its head."""
        return "".join(
            as_html(cell).replace("<td", f'<td data-label="{html.escape(name)}"', 1)
            for name, cell in zip(self.head, row, strict=True)
        )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of anything that prints."""
    return Table(head, [list(row) for row in rows])


def as_text(cell: object) -> str:
    """A cell in a terminal."""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def as_html(cell: object) -> str:
    """A cell in a page."""
    if isinstance(cell, Code):
        indent = f"padding-left:{1.2 * cell.depth:g}em"
        return f'<td style="{indent}"><code>{html.escape(cell.source)}</code></td>'
    if isinstance(cell, Shape):
        axes = f'<br><span class="axes">{html.escape(cell.axes)}</span>'
        return f'<td class="shape">{cell.sizes}{axes if cell.axes else ""}</td>'
    content = html.escape(as_text(cell))
    if content.startswith("(") and content.endswith(")"):
        return f'<td class="shape">{content}</td>'
    return (
        f'<td class="number">{content}</td>'
        if NUMBER.fullmatch(as_text(cell))
        else f"<td>{content}</td>"
    )


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
