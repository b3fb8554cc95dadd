"""Tensors that a cell printed, drawn as the matrices that they are: each number as printed, its sign as fill.

A page shows them so; the notebook keeps the text.
"""

import html
import json
import re
from dataclasses import dataclass
from itertools import chain

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

TENSOR = re.compile(r"tensor\((\[[^()]*?\])((?:,\s*\w+=[\w.]+)*)\)")
VALUE = re.compile(r"[^\[\],\s]+")
WIDEST = 12  # columns that are drawn; what is wider stays text, and scrolls


@dataclass(frozen=True)
class Printed:
    """A tensor as it was printed: what stood before it, its matrices, and what stood behind (`dtype=`)."""

    label: str
    matrices: list[list[list[str]]]
    suffix: str


class DrawTensors(SphinxPostTransform):
    """Draw the tensors in what cells printed; what is no tensor stays text."""

    default_priority = 5
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Replace each printed block in which there is a tensor."""
        for output in list(self.document.findall(is_output)):
            for block in list(output.findall(is_text)):
                parts = split(block.astext())
                if any(isinstance(part, Printed) for part in parts):
                    block.replace_self([nodes.raw("", drawn(parts), format="html")])


def is_output(node: nodes.Node) -> bool:
    """What a cell printed or returned."""
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "cell_code_output"
    )


def is_text(node: nodes.Node) -> bool:
    """A block or a line of plain text."""
    return isinstance(
        node, (nodes.literal_block, nodes.inline)
    ) and "output" in node.get("classes", [])


def split(text: str) -> list[str | Printed]:
    """The text and the tensors in it, in order; the line before a tensor is its label."""
    parts: list[str | Printed] = []
    at = 0
    for found in TENSOR.finditer(text):
        matrices = read(found[1])
        if matrices is None:
            continue
        before, _, label = text[at : found.start()].rstrip().rpartition("\n")
        if before.strip():
            parts.append(before.strip("\n"))
        parts.append(Printed(label.strip(), matrices, found[2].strip(", ")))
        at = found.end()
    if text[at:].strip():
        parts.append(text[at:].strip("\n"))
    return parts


def read(array: str) -> list[list[list[str]]] | None:
    """The matrices of a printed array, each number as text; None for one that is too wide or abridged."""
    if "..." in array or "[]" in array:
        return None
    values = json.loads(VALUE.sub(lambda found: f'"{found[0]}"', array))
    if isinstance(values[0], str):
        values = [values]
    while isinstance(values[0][0], list) and isinstance(values[0][0][0], list):
        values = list(chain.from_iterable(values))
    matrices = values if isinstance(values[0][0], list) else [values]
    return (
        matrices
        if all(len(row) <= WIDEST for rows in matrices for row in rows)
        else None
    )


def drawn(parts: list[str | Printed]) -> str:
    """The HTML of an output: tensors side by side, text between them in lines of its own."""
    return f'<div class="output printed">{"".join(map(part_html, parts))}</div>'


def part_html(part: str | Printed) -> str:
    """Text as it was printed, or a tensor under its label."""
    if isinstance(part, str):
        return f'<pre class="said">{html.escape(part)}</pre>'
    largest = max(
        (size(x) for rows in part.matrices for row in rows for x in row), default=0
    )
    tables = "".join(
        table(rows, part.label or "tensor", largest) for rows in part.matrices
    )
    words = " ".join(filter(None, (part.label, part.suffix)))
    label = f'<span class="label">{html.escape(words)}</span>' if words else ""
    return f'<div class="drawn">{label}<div class="matrices">{tables}</div></div>'


def table(rows: list[list[str]], label: str, largest: float) -> str:
    """One matrix."""
    body = "".join(f"<tr>{''.join(cell(x, largest) for x in row)}</tr>" for row in rows)
    return f'<table class="tensor" aria-label="{html.escape(label)}"><tbody>{body}</tbody></table>'


def cell(value: str, largest: float) -> str:
    """A number with its sign as the fill; False is struck out, as in a mask."""
    kind = "struck" if value == "False" else "negative" if value.startswith("-") else ""
    strength = min(size(value) / largest, 1) if largest else 0
    shown = html.escape(value.replace("-", "−"))
    return f'<td class="{kind}" style="--strength:{strength:.2f}">{shown}</td>'


def size(value: str) -> float:
    """How large a printed number is; what is infinite or no number does not count."""
    try:
        number = abs(float(value))
    except ValueError:
        return 1.0 if value == "True" else 0.0
    return number if number < float("inf") else 0.0


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_post_transform(DrawTensors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
