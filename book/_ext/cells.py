"""Cells of a chapter by what they are for, said by their tags: what is open is the lesson.

`setup` folds to a line, `check` to the line that its output says of itself, `source` shows the listing
without the call that lists it, `figure` shows its picture or table above the code that made it, and
`solution` folds to that word, its output too. A cell without one of them is a lesson.
"""

import html
import re
from collections.abc import Mapping, Sequence

from columns import functions_of, marked
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

KINDS = ("setup", "check", "source", "figure", "solution")
SUMMARY = re.compile(r'data-summary="([^"]+)"')
# As Pygments marks the lines of a docstring, and how one begins and ends.
DOCSTRING, QUOTES = '<span class="sd">', '"""'


class Listing(nodes.literal_block):
    """Source of the package under the name of its file, its docstrings folded away."""


class FoldCells(SphinxPostTransform):
    """Fold each cell as its kind asks for, after an output's form has been chosen."""

    default_priority = 6
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Find the cells, and have each folded by the method of its kind."""
        for cell in list(self.document.findall(nodes.container)):
            kind = kind_of(cell) if cell.get("nb_element") == "cell_code" else None
            if kind:
                getattr(self, kind)(cell, *halves(cell))

    def setup(
        self, cell: nodes.container, code: nodes.Node, output: Sequence[nodes.Node]
    ) -> None:
        """One line."""
        cell.children = fold("set-up", "Set-up", [code, *output], section_of(cell))

    def check(
        self, cell: nodes.container, code: nodes.Node, output: Sequence[nodes.Node]
    ) -> None:
        """The line that its output says of itself."""
        line, title = summary(output), section_of(cell)
        cell.children = fold("check", line, [code, *output], title)

    def source(
        self, cell: nodes.container, code: nodes.Node, output: Sequence[nodes.Node]
    ) -> None:
        """The listing alone, under the name of its file."""
        for block in [
            each for part in output for each in part.findall(nodes.literal_block)
        ]:
            files = block.parent[block.parent.index(block) - 1]
            text = block.astext()
            columns = "columns" in cell["cell_metadata"]["tags"]
            listing = Listing(text, text, files=files.astext(), columns=columns)
            block.parent.remove(files)
            block.replace_self(listing)
        cell.children = list(output)

    def solution(
        self, cell: nodes.container, code: nodes.Node, output: Sequence[nodes.Node]
    ) -> None:
        """One line, for whoever has tried."""
        title = section_of(cell)
        cell.children = fold("solution", "Solution", [code, *output], title)

    def figure(
        self, cell: nodes.container, code: nodes.Node, output: Sequence[nodes.Node]
    ) -> None:
        """The picture or table, and below it a line that opens to its code."""
        drawn = any(
            "<figure" in raw.astext()
            for part in output
            for raw in part.findall(nodes.raw)
        )
        word = "figure" if drawn else "table"
        line = f"The code of this {word}"
        cell.children = [*output, *fold("made-by", line, [code], section_of(cell))]


def kind_of(cell: nodes.container) -> str | None:
    """The kind that a cell's tags say."""
    tags = cell["cell_metadata"].get("tags", [])
    return next((kind for kind in KINDS if kind in tags), None)


def halves(cell: nodes.container) -> tuple[nodes.Node, list[nodes.Node]]:
    """A cell's code and its output."""
    code, *output = cell.children
    return code, output


def section_of(node: nodes.Node) -> str:
    """The title of the section in which something is."""
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    titles = (
        [] if node is None else [each for each in node if isinstance(each, nodes.title)]
    )
    return titles[0].astext() if titles else ""


def fold(
    name: str, line: str, content: list[nodes.Node], section: str
) -> list[nodes.Node]:
    """A line that opens to the content; who hears it, hears the section too, as many lines say the same."""
    said = html.escape(f"{line}, in “{section}”" if section else line)
    opening = (
        f'<details class="cell-fold {name}"><summary aria-label="{said}">'
        f"{html.escape(line)}</summary>"
    )
    return [
        nodes.raw("", opening, format="html"),
        *content,
        nodes.raw("", "</details>", format="html"),
    ]


def summary(output: Sequence[nodes.Node]) -> str:
    """What a check says of itself: a ledger in its summary, else the last line printed."""
    for part in output:
        for raw in part.findall(nodes.raw):
            if found := SUMMARY.search(raw.astext()):
                return html.unescape(found[1])
    return output[-1].astext().strip().splitlines()[-1]


def visit_listing(self: HTML5Translator, node: Listing) -> None:
    """The listing as one block, so that copying it takes all of it."""
    texts = functions_of(node.astext()) if node["columns"] else [node.astext()]
    blocks = [
        self.highlighter.highlight_block(text, "python", location=node)
        for text in texts
    ]
    if node["columns"]:
        blocks = marked(*blocks)
    folded, docstrings = fold_docstrings("".join(blocks))
    toggle = (
        '<label><input type="checkbox" class="docstrings" '
        f'aria-label="docstrings of {html.escape(names_in(node.astext()))}"> docstrings</label>'
        if docstrings
        else ""
    )
    self.body.append(
        '<div class="listing"><div class="listing-head">'
        f'<span class="files">{linked(node["files"], self.config.html_theme_options)}</span>{toggle}</div>'
        f'<div class="highlight-python notranslate{" columns" * node["columns"]}">{folded}</div></div>\n'
    )
    raise nodes.SkipNode


def linked(files: str, theme: Mapping[str, str]) -> str:
    """Names of files, each a link to the whole file in the repository."""
    tree = f"{theme['repository_url']}/blob/{theme['repository_branch']}"
    names = map(html.escape, files.split(", "))
    return ", ".join(f'<a href="{tree}/{name}">{name}</a>' for name in names)


def names_in(source: str) -> str:
    """The functions and classes of a listing."""
    return ", ".join(re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))


def fold_docstrings(highlighted: str) -> tuple[str, int]:
    """The highlighted lines, each docstring's in a span that can be hidden, and how many there are."""
    lines, count, inside = [], 0, False
    for line in highlighted.splitlines(keepends=True):
        quotes = line.count(QUOTES) if inside or DOCSTRING in line else 0
        begins = quotes > 0 and not inside
        ends = quotes == (2 if begins else 1)
        opening, closing = '<span class="docstring">' * begins, "</span>" * ends
        lines.append(f"{opening}{line}{closing}")
        count, inside = count + begins, (inside or begins) and not ends
    return "".join(lines), count


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform and the node."""
    app.add_node(Listing, html=(visit_listing, None))
    app.add_post_transform(FoldCells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
