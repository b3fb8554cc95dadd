"""The pages of the book in parts: what a section says, runs and prints."""

import ast
import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import toc

from claims.outputs import Printed, shown

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
            if "solution" in cell["metadata"].get("tags", []):
                page.printed.append(Printed(number, section, constants(source)))
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


def constants(source: str) -> str:
    """The numbers of a solution: those that its exercise gives, of a model or of a batch."""
    nodes = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)
    ]
    return "; ".join(
        str(node.value) for node in nodes if type(node.value) in (int, float)
    )


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def paths(root: Path = toc.ROOT) -> list[Path]:
    """The pages whose sentences somebody wrote."""
    written = [page for page in toc.pages() if page.split("/")[-1] not in GENERATED]
    files = [root / f"{page}{end}" for page in written for end in (".ipynb", ".md")]
    return [file for file in files if file.exists()]
