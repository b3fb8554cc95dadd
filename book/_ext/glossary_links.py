"""A word of the glossary is linked to it at its first use in a chapter.

Only sentences are looked at. A word that a chapter explains itself (the glossary leads to
it), sets in italics because it says there what it means, or links elsewhere, is left alone.
"""

import re
from collections.abc import Iterator

import glossary
from docutils import nodes
from sphinx.application import Sphinx

EXPLAINED_THERE = nodes.emphasis, nodes.strong, nodes.reference
NO_SENTENCE = (
    *(nodes.table, nodes.container, nodes.literal, nodes.math, nodes.footnote),
    *(nodes.citation, nodes.raw, nodes.image),
)


def pattern(name: str) -> str:
    """One or many of it, at the head of a sentence too."""
    first, rest = re.escape(name[0]), re.escape(name[1:])
    if name.islower():
        first = f"[{first}{first.upper()}]"
    return f"{first}{rest}(?:s|es)?"


class Linker:
    """Links the words of a page, each entry of the glossary once."""

    def __init__(self, entries: list[glossary.Entry], page: str) -> None:
        self.left = {name: entry for entry in entries for name in entry.names}
        self.page = page

    def first(self, text: str) -> tuple[re.Match, glossary.Entry] | None:
        """The first word in a text that is not done yet."""
        names = sorted(self.left, key=len, reverse=True)
        groups = "|".join(f"({pattern(name)})" for name in names)
        found = names and re.search(rf"(?<![\w-])(?:{groups})(?![\w-])", text)
        return (found, self.left[names[found.lastindex - 1]]) if found else None

    def done(self, entry: glossary.Entry) -> None:
        """Look no more for any of its names."""
        for name in entry.names:
            del self.left[name]

    def pass_over(self, text: str) -> None:
        """Take the words of a text for linked."""
        while found := self.first(text):
            self.done(found[1])

    def linked(self, text: str) -> list[nodes.Node]:
        """The text with its words as links."""
        parts: list[nodes.Node] = []
        while found := self.first(text):
            match, entry = found
            parts += [nodes.Text(text[: match.start()]), self.link(match[0], entry)]
            text = text[match.end() :]
            self.done(entry)
        return [*parts, nodes.Text(text)] if parts else []

    def link(self, word: str, entry: glossary.Entry) -> nodes.reference:
        """A word that leads to its entry."""
        target = f"{self.page}#{entry.anchor}"
        return nodes.reference(
            "",
            word,
            internal=True,
            refuri=target,
            reftitle=entry.meaning,
            classes=["glossary-link"],
        )


def texts(document: nodes.document) -> Iterator[tuple[nodes.Text, bool]]:
    """The pieces of all sentences, and whether a piece explains or links what it names."""
    for paragraph in document.findall(nodes.paragraph):
        if within(paragraph, NO_SENTENCE):
            continue
        for text in list(paragraph.findall(nodes.Text)):
            if not within(text, NO_SENTENCE):
                yield text, within(text, EXPLAINED_THERE)


def within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    """Whether a node stands in one of these."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def link_words(document: nodes.document, linker: Linker) -> None:
    """Link what there is to link in one chapter."""
    for text, explained in texts(document):
        if explained:
            linker.pass_over(text.astext())
        elif parts := linker.linked(text.astext()):
            text.parent.replace(text, parts)


def unlinked(app: Sphinx, page: str) -> set[str]:
    """Names that mean something else on this page."""
    names = app.config.glossary_unlinked
    return {*names.get("everywhere", []), *names.get(page, [])}


def on_resolved(app: Sphinx, document: nodes.document, page: str) -> None:
    """Link the words of a chapter; other pages are for looking up."""
    if app.builder.format != "html" or not app.env.doc2path(page).endswith(".ipynb"):
        return
    entries = [
        entry
        for entry in glossary.read(app.env)
        if entry.chapter != page and not unlinked(app, page) & {*entry.names}
    ]
    target = app.builder.get_relative_uri(page, glossary.PAGE)
    link_words(document, Linker(entries, target))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the links."""
    app.add_config_value("glossary_unlinked", {}, "html")
    app.connect("doctree-resolved", on_resolved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
