"""The pages of the book in parts: what a section says, runs and prints."""

import ast
import html
import json
import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import toc

GENERATED = {"equality_ledger"}  # `make ledger` writes it from a run of its tests
SECTION = re.compile(r"^(?=## )", re.MULTILINE)
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(?!\{(?:note|tip|warning|admonition|glossary))"
                   r".*?^ {0,3}\1[ ]*$", re.DOTALL | re.MULTILINE)  # fmt: skip
TYPED = 25  # letters from which on a string in a cell is a sentence and no label


@dataclass(frozen=True)
class Passage:
    """Prose of a page: a part of a markdown cell, or a caption in a code cell."""

    cell: int
    section: int
    text: str


@dataclass(frozen=True)
class Printed:
    """What a cell left: a text, or a cell of a table with the heads of its row and column."""

    cell: int
    section: int
    text: str
    head: str = ""


@dataclass
class Page:
    name: str
    passages: list[Passage] = field(default_factory=list)
    printed: list[Printed] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    source: str = ""


@cache
def read(path: Path) -> Page:
    page = Page(path.stem)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        split_sections(page, 1, 0, text)
        page.source = text
        return page
    section = 0
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            section = split_sections(page, number, section, source)
            page.source += source + "\n\n"
        elif cell["cell_type"] == "code":
            page.code.append(source)
            typed, captions = typed_in(source)
            page.passages += [Passage(number, section, words) for words in captions]
            for output in cell["outputs"]:
                page.printed += shown(output, number, section, typed)
    return page


def split_sections(page: Page, cell: int, section: int, text: str) -> int:
    """Add the text's passages; the number of the section that it ends in."""
    for part in SECTION.split(FENCE.sub("", text)):
        section += part.startswith("## ")
        page.passages.append(Passage(cell, section, part))
    return section


def typed_in(source: str) -> tuple[list[str], list[str]]:
    """The strings of a cell that are words for a reader; and of those its captions."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # %pip
        return [], []
    strings = [node.value for node in ast.walk(tree) if is_text(node)]
    typed = [text for text in strings if len(text) >= TYPED and " " in text.strip()]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)
             and ast.unparse(node.func).startswith("show.")]  # fmt: skip
    captions = [given.value for call in calls for given in call.args
                if is_text(given) and given.value.endswith(".")]  # fmt: skip
    captions += [given.value.value for call in calls for given in call.keywords
                 if given.arg in {"caption", "alt"} and is_text(given.value)]  # fmt: skip
    return typed, captions


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def shown(output: dict, cell: int, section: int, typed: list[str]) -> list[Printed]:
    """The outputs that a reader sees, without the sentences that were typed into the cell."""
    data = output.get("data", {})
    texts = ["".join(output.get("text", "")), "".join(data.get("text/markdown", ""))]
    texts += ["\n".join(output.get("traceback", [])), output.get("evalue", "")]
    if drawn := "".join(data.get("text/html", "")):
        parts = Cells.parts(drawn)
    else:
        parts = [("", "".join(data.get("text/plain", "")))]
    found = []
    for head, text in [*(("", text) for text in texts), *parts]:
        for sentence in typed:
            text = text.replace(sentence, " ")
        if text.strip():
            found.append(Printed(cell, section, text, head))
    return found


class Cells(HTMLParser):
    """The texts in a piece of HTML: table cells with their heads, and what stands between."""

    SKIPPED = {"script", "style", "figcaption", "defs", "title"}
    ENDS = {"td", "th", "text", "p", "div", "tr", "li", "figure", "svg", "summary"}

    def __init__(self):
        super().__init__()
        self.skipped, self.letter = 0, False
        self.words, self.head, self.row, self.found = [], "", "", []

    @classmethod
    def parts(cls, drawn: str) -> list[tuple[str, str]]:
        parser = cls()
        parser.feed(drawn)
        parser.flush()
        return parser.found

    def flush(self):
        if text := "".join(self.words).strip():
            self.found.append((self.head, text))
        self.words = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.skipped += tag in self.SKIPPED
        self.letter = attributes.get("class") == "letter"  # an axis's, behind its size
        if tag in self.ENDS:
            self.flush()
            self.head = ""
        if tag == "tr":
            self.row = ""
        if tag in {"td", "th"}:
            self.head = f"{attributes.get('data-label') or ''} {self.row}"
        if label := attributes.get("aria-label"):
            self.found.append(("", label))

    def handle_endtag(self, tag):
        if tag in {"td", "th"} and not self.row:
            self.row = html.unescape("".join(self.words)).strip()
        if tag in self.ENDS:
            self.flush()
            self.head = ""
        self.skipped = max(0, self.skipped - (tag in self.SKIPPED))
        self.letter = False

    def handle_data(self, data):
        if not self.skipped and not self.letter:
            self.words.append(data)


def paths(root: Path = toc.ROOT) -> list[Path]:
    """The pages whose sentences somebody wrote."""
    written = [page for page in toc.pages() if page.split("/")[-1] not in GENERATED]
    files = [root / f"{page}{end}" for page in written for end in (".ipynb", ".md")]
    return [file for file in files if file.exists()]
