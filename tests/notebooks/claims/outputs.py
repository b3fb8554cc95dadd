"""What a cell left for a reader: texts, and the cells of tables with their heads."""

import html
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import ClassVar

from claims.units import HEAD

RATIO = "FLOPs/byte"


@dataclass(frozen=True)
class Printed:
    """What a cell left: a text, or a cell of a table with the heads of its row and column."""

    cell: int
    section: int
    text: str
    head: str = ""


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

    SKIPPED: ClassVar = {"script", "style", "figcaption", "defs", "title"}
    ENDS: ClassVar = {
        "td",
        "th",
        "text",
        "p",
        "div",
        "tr",
        "li",
        "figure",
        "svg",
        "summary",
    }

    def __init__(self):
        super().__init__()
        self.skipped, self.letter = 0, False
        self.words, self.head, self.row, self.found = [], "", "", []
        self.corner = None  # the first head of a table, whose unit is that of all

    @classmethod
    def parts(cls, drawn: str) -> list[tuple[str, str]]:
        parser = cls()
        parser.feed(drawn)
        parser.flush()
        return parser.found

    def flush(self):
        if text := "".join(self.words).strip():
            self.found.append((self.head, text))
            if RATIO in self.head:  # a text may name an intensity without its unit
                self.found.append((self.head.replace(RATIO, ""), text))
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
        if tag == "table":
            self.corner = None
        if tag in {"td", "th"}:
            self.head = f"{attributes.get('data-label') or ''} {self.row}"
            if units := HEAD.findall(self.corner or ""):
                self.head = f"{units[-1]} {self.head}"
        if label := attributes.get("aria-label"):
            self.found.append(("", label))

    def handle_endtag(self, tag):
        if tag in {"td", "th"} and not self.row:
            self.row = html.unescape("".join(self.words)).strip()
            self.corner = self.corner if self.corner is not None else self.row
        if tag in self.ENDS:
            self.flush()
            self.head = ""
        self.skipped = max(0, self.skipped - (tag in self.SKIPPED))
        self.letter = False

    def handle_data(self, data):
        if not self.skipped and not self.letter:
            self.words.append(data)
