"""Links from page to page: where they lead, and whether their text says so."""

import re
from collections.abc import Iterator
from functools import cache

import yaml
from mdit_py_plugins.anchors.index import slugify, unique_slug
from toc import ROOT

from claims.evidence import stems
from claims.pages import FENCE, Page, paths, read

LINK = re.compile(
    r"(?<!!)\[((?:[^][]|\[[^]]*\])*)\]\(((?:[\w/]+\.(?:ipynb|md))?)(?:#([^)\s]+))?\)"
)
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*$", re.MULTILINE)
TARGET = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
MARKUP = re.compile(r"[*`]|\{[\w:]+\}`[^`]*`|!?\[([^]]*)\]\([^)]*\)|<[^>]*>")
ABOUT = re.compile(
    r"\bchapters?\s(?:on|about|of)\s(?:the\s)?([^.,;:]+)$", re.IGNORECASE
)


@cache
def levels() -> int:
    """Headings down to which level are anchors."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["sphinx"]["config"]["myst_heading_anchors"]


def headings(page: Page) -> list[str]:
    """The headings that are anchors, as a reader sees them; the first is the title."""
    found = HEADING.findall(FENCE.sub("", page.source))
    return [MARKUP.sub(r"\1", text) for marks, text in found if len(marks) <= levels()]


def anchors(page: Page) -> set[str]:
    slugs: set[str] = set()
    for text in headings(page):
        unique_slug(slugify(text), slugs)
    return slugs | set(TARGET.findall(page.source))


@cache
def book() -> dict[str, Page]:
    return {path.stem: read(path) for path in paths()}


def wrong_links(page: Page, pages: dict[str, Page]) -> Iterator[str]:
    for text, file, anchor in LINK.findall(page.source):
        name = file.rsplit("/", 1)[-1].rpartition(".")[0] or page.name
        if name not in pages:
            continue  # Sphinx knows whether there is such a page
        target = pages[name]
        if anchor and anchor not in anchors(target):
            near = ", ".join(sorted(anchors(target)))
            yield f"[{text}]({file}#{anchor}): no such heading; there are {near}"
        if other := misnamed(text, target, pages):
            yield f"[{text}]({file}): leads to {headings(target)[0]!r}, {other}"


def misnamed(text: str, target: Page, pages: dict[str, Page]) -> str:
    """What is wrong with a link's text, if it names a chapter and leads to another."""
    said = MARKUP.sub(r"\1", text).strip().casefold()
    for page in pages.values():
        titled = [title.casefold() for title in headings(page)[:1]]
        if said in titled and not target.name.startswith(page.name):
            return f"and the text is the title of {page.name}"
    topic = ABOUT.search(said)
    if topic and not stems(topic[1]) & stems(
        " ".join([target.name, *headings(target)])
    ):
        return f"where no heading has a word of {topic[1]!r}"
    return ""
