"""Tables as the book shows them: HTML in a page or notebook, aligned columns in a
terminal.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NUMBER = re.compile(r"(-|< )?[\d,.×% ]+(e-?\d+)?")


@dataclass(frozen=True)
class Code:
    """A cell that is source code, `depth` steps indented."""

    source: str
    depth: int = 0

    def __str__(self) -> str:
        return "  " * self.depth + self.source


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head; shown as HTML where that is possible, else as text.

    What stands in parentheses is a shape and stays on one line; an int gets its
    thousands separated.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]

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
        body = "".join(f"<tr>{''.join(map(as_html, row))}</tr>" for row in self.rows)
        inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f'<table class="companion-ledger">{inside}</table>'


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
    content = html.escape(as_text(cell))
    if content.startswith("(") and content.endswith(")"):
        return f'<td class="shape">{content}</td>'
    return (
        f'<td class="number">{content}</td>'
        if NUMBER.fullmatch(as_text(cell))
        else f"<td>{content}</td>"
    )
