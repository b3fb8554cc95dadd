"""The built pages as chapters of one document: ids and links become the document's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

import toc
from bs4 import BeautifulSoup, Tag
from folds import settle
from listings import split_lines

# What is there to be pressed, or tells a reader of the page where he is.
ON_SCREEN_ONLY = (
    "script, noscript, style[data-look], template, button, dialog, "
    ".headerlink, .viewcode-link, .d-print-none"
)
REFERENCES = ("aria-labelledby", "aria-describedby", "aria-controls", "for", "headers")


@dataclass
class Chapter:
    """A page of the book: where it stands, what it is called, and what is on it.

    The contents list the sections of notebooks; the other pages are for looking things up.
    """

    page: str
    part: str
    numbered: bool
    article: Tag
    title: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The beginning of each id of this chapter."""
        return PurePosixPath(self.page).name


def chapters(site: Path, contents: dict, keep_tables: bool = False) -> list[Chapter]:
    """Every page of the table of contents, in its order, ready to stand in one document."""
    found = [
        Chapter(page, part, numbered, article_of(site / f"{page}.html"))
        for page, part, numbered in places(contents)
    ]
    pages = {f"{chapter.page}.html": chapter.name for chapter in found}
    for chapter in found:
        for node in chapter.article.select(ON_SCREEN_ONLY):
            node.decompose()
        settle(chapter.article, keep_tables)
        for listing in chapter.article.select("pre"):
            split_lines(listing)
        own_ids(chapter.article, chapter.name)
        own_links(chapter, pages)
        chapter.title, sections = headings(chapter.article)
        if f"{chapter.page}.ipynb" in toc.notebooks():
            chapter.sections = sections
    return found


def places(contents: dict) -> Iterator[tuple[str, str, bool]]:
    """Each page, its part, and whether its part is numbered."""
    yield contents["root"], "", False
    for part in contents["parts"]:
        for chapter in part["chapters"]:
            for page in (chapter, *chapter.get("sections", [])):
                yield page["file"], part["caption"], bool(part.get("numbered"))


def article_of(file: Path) -> Tag:
    """What a page has between its margins."""
    page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    return page.select_one("article.bd-article").extract()


def style_sheets(file: Path) -> list[Path]:
    """The style sheets of a built page."""
    page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    links = [
        urlsplit(link["href"]).path for link in page.select("link[rel=stylesheet]")
    ]
    return [(file.parent / link).resolve() for link in links]


def own_ids(article: Tag, name: str) -> None:
    """Set the chapter's name before each id, and before what refers to one by other means than a link."""
    seen = set()
    for node in article.find_all(True):
        if node.get("id") in seen:  # a marker that two drawings define alike
            del node["id"]
        if "id" in node.attrs:
            seen.add(node["id"])
            node["id"] = f"{name}--{node['id']}"
        for key in REFERENCES:
            if key in node.attrs:
                ids = " ".join(node.get_attribute_list(key)).split()
                node[key] = " ".join(f"{name}--{one}" for one in ids)
        for key, value in node.attrs.items():
            if isinstance(value, str) and "url(#" in value:
                node[key] = re.sub(r"url\(#", f"url(#{name}--", value)


def own_links(chapter: Chapter, pages: dict[str, str]) -> None:
    """Links to a page of the book lead into this document, the others to the site."""
    for node in chapter.article.find_all(True):
        for key in ("href", "xlink:href", "src"):
            if key in node.attrs:
                node[key] = target(node[key], chapter, pages)


def target(link: str, chapter: Chapter, pages: dict[str, str]) -> str:
    """Where a link leads in this document; `site:` stands for the site's address."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return link
    if not parts.path:
        return f"#{chapter.name}--{parts.fragment}"
    file = normpath(urljoin(f"{chapter.page}.html", parts.path))
    if file in pages:
        fragment = f"--{parts.fragment}" if parts.fragment else ""
        return f"#{pages[file]}{fragment}"
    return f"site:{file}" + (f"#{parts.fragment}" if parts.fragment else "")


def headings(article: Tag) -> tuple[str, list[tuple[str, str]]]:
    """The chapter's title, and its sections: id and title of each."""
    sections = [
        (section["id"], words(section.h2))
        for section in article.select("section[id]:has(> h2)")
    ]
    return words(article.h1), sections


def words(node: Tag) -> str:
    """Its text in one line."""
    return " ".join(node.get_text().split())
