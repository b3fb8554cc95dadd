"""How long a chapter takes to read, said under its title.

Counted are the words of the sentences and the lines of the code that is open: cells that are
folded, and what cells print, are not.
"""

from cells import KINDS
from docutils import nodes
from sphinx.application import Sphinx

WORDS_PER_MINUTE = 200
LINES_PER_MINUTE = 15
FOLDED = {*KINDS, "hide-input", "hide-cell"}


def is_within(node: nodes.Node, name: str) -> nodes.Element | None:
    """The part of a notebook's cell that a node stands in, by its class."""
    while node := node.parent:
        if name in node.get("classes", ()):
            return node
    return None


def words(document: nodes.document) -> int:
    """Words in paragraphs, lists and tables."""
    return sum(
        len(paragraph.astext().split())
        for paragraph in document.findall(nodes.paragraph)
        if not is_within(paragraph, "cell")
    )


def is_open_code(block: nodes.literal_block) -> bool:
    """Whether a block is a cell that is not folded, or a listing that one shows."""
    cell = is_within(block, "cell")
    if cell and is_within(block, "cell_input"):
        return not FOLDED & {*cell["cell_metadata"].get("tags", [])}
    return block.get("language") == "python"


def lines(document: nodes.document) -> int:
    """Lines of code that are to be read."""
    blocks = document.findall(nodes.literal_block)
    return sum(
        len([line for line in block.astext().splitlines() if line.strip()])
        for block in blocks
        if is_open_code(block)
    )


def say(app: Sphinx, document: nodes.document) -> None:
    """Put the sentence below the title of a chapter."""
    page = app.env.docname
    title = document.next_node(nodes.title)
    if not app.env.doc2path(page).endswith(".ipynb") or page == app.config.root_doc:
        return
    said, shown = words(document), lines(document)
    minutes = round(said / WORDS_PER_MINUTE + shown / LINES_PER_MINUTE)
    text = f"{minutes} minutes to read: {said:,} words and {shown:,} lines of code"
    sentence = nodes.paragraph("", text, classes=["reading-time"])
    title.parent.insert(title.parent.index(title) + 1, sentence)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the count, before a chapter's cells are folded."""
    app.connect("doctree-read", say)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
