"""Markdown as sentences: what a reader reads, with code and formulas as placeholders."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from claims.pages import Page

INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
CODE, MATH = "\ufff0", "\ufff1"  # letters that no text has, one for each left out piece
LEFT_OUT = [
    (re.compile(r"<!--.*?-->|^\([\w-]+\)=$", re.DOTALL | re.MULTILINE), " "),
    (re.compile(r"\{(?:cite|ref|numref|eq)(?::\w+)?\}`[^`]*`"), ""),
    (re.compile(r"^ {0,3}(?:`{3,}|:{3,}).*$", re.MULTILINE), "\n"),
    (re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL), MATH),
    (re.compile(r"\[[^][]*\]\(https?://[^)]*\)"), MATH),  # a source
    (re.compile(r"!?\[((?:[^][]|\[[^]]*\])*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"</?\w[^>]*>"), " "),
    (re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+", re.MULTILINE), "\n\n"),
    (re.compile(r"^#+\s+(?:\d+\s·\s)?", re.MULTILINE), "\n\n"),
    (re.compile(r"\*\*|(?<!\w)_|_(?!\w)|(?<![\s\d])\*|\*(?![\s\d])"), ""),
]
PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\||#)|(?<=\|)\n")
SENTENCE = re.compile(r"(?<=[.!?;])[\"”)]?\s+(?=[A-Z\"“(\ufff0\ufff1])")


@dataclass(frozen=True)
class Sentence:
    cell: int
    section: int
    text: str
    code: tuple[str, ...] = ()
    paragraph: tuple[str, ...] = ()  # all its sentences

    @property
    def readable(self) -> str:
        """The sentence with its code put back."""
        pieces = iter(self.code)
        return re.sub(CODE, lambda _: f"`{next(pieces, '')}`", self.text)


def sentences(page: Page) -> Iterator[Sentence]:
    for passage in page.passages:
        for text, *rest in split(passage.text):
            yield Sentence(passage.cell, passage.section, text, *rest)


def split(markdown: str) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Each sentence, the pieces of inline code in it, and its paragraph."""
    for pattern, instead in LEFT_OUT[:3]:
        markdown = pattern.sub(instead, markdown)
    pieces = iter([match[2] for match in INLINE_CODE.finditer(markdown)])
    text = INLINE_CODE.sub(CODE, markdown)
    for pattern, instead in LEFT_OUT[3:]:
        text = pattern.sub(instead, text)
    for paragraph in PARAGRAPH.split(text):
        together = tuple(SENTENCE.split(" ".join(paragraph.split())))
        for sentence in together:
            count = sentence.count(CODE)
            yield sentence, tuple(next(pieces) for _ in range(count)), together
