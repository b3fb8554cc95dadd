"""What makes files an EPUB: its description with the metadata, its navigation, its title page."""

import uuid
from html import escape

from chapters import Chapter
from imprint import LICENSE, QUESTION, SUBJECT, Edition, facts

TYPES = {"xhtml": "application/xhtml+xml", "css": "text/css", "png": "image/png"}
PROPERTIES = {"nav.xhtml": "nav", "cover.png": "cover-image"}
ACCESSIBLE = {
    "accessMode": ["textual", "visual"],
    "accessModeSufficient": ["textual"],
    "accessibilityFeature": [
        "MathML",
        "alternativeText",
        "structuralNavigation",
        "tableOfContents",
    ],
    "accessibilityHazard": ["none"],
}


def description(about: Edition, texts: dict[str, str]) -> str:
    """The package document: who made the book, its files, the order in which they are read."""
    items = [item(name, texts.get(name, "")) for name in [*texts, "cover.png"]]
    spine = [
        f'<itemref idref="{identity(name)}"/>'
        for name in texts
        if name.endswith(".xhtml")
    ]
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        f'unique-identifier="id" xml:lang="{about.language}">{metadata(about)}'
        f"<manifest>{''.join(items)}</manifest><spine>{''.join(spine)}</spine></package>\n"
    )


def metadata(about: Edition) -> str:
    """Who made what, in which language, under which license, and whom it serves."""
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, about.address)
    access = "".join(
        f'<meta property="schema:{name}">{value}</meta>'
        for name, values in ACCESSIBLE.items()
        for value in values
    )
    return (
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier>'
        f"<dc:title>{escape(about.title)}</dc:title><dc:creator>{escape(about.author)}</dc:creator>"
        f"<dc:language>{about.language}</dc:language><dc:date>{about.day}</dc:date>"
        f"<dc:description>{escape(QUESTION)}</dc:description><dc:subject>{escape(SUBJECT)}</dc:subject>"
        f"<dc:source>{about.address}</dc:source><dc:rights>CC BY 4.0, {LICENSE}</dc:rights>"
        f'<meta property="dcterms:modified">{about.day}T00:00:00Z</meta>{access}</metadata>'
    )


def item(name: str, text: str) -> str:
    """A file's line in the manifest, which says what is in it."""
    found = [
        PROPERTIES.get(name, ""),
        "svg" if "<svg" in text else "",
        "mathml" if "<math" in text else "",
    ]
    properties = " ".join(filter(None, found))
    said = f' properties="{properties}"' if properties else ""
    kind = TYPES[name.rpartition(".")[2]]
    return f'<item id="{identity(name)}" href="{name}" media-type="{kind}"{said}/>'


def identity(name: str) -> str:
    """A file's name as an id."""
    return name.replace(".", "-")


def title_page(about: Edition) -> str:
    """Title, question, and what there is to know of this edition."""
    lines = "".join(f"<p>{fact}</p>" for fact in facts(about))
    return (
        f'<section class="title-page" epub:type="titlepage"><h1>{escape(about.title)}</h1>'
        f'<p class="question">{escape(QUESTION)}</p>{lines}</section>'
    )


def navigation(book: list[Chapter]) -> str:
    """The table of contents: parts, in them chapters, in them sections."""
    groups: dict[str, list[str]] = {}
    for chapter in book:
        file = f"{chapter.name}.xhtml"
        sections = "".join(
            entry(f"{file}#{id}", title) for id, title in chapter.sections
        )
        groups.setdefault(chapter.part, []).append(entry(file, chapter.title, sections))
    parts = [
        f"<li><span>{escape(part)}</span><ol>{''.join(inside)}</ol></li>"
        if part
        else "".join(inside)
        for part, inside in groups.items()
    ]
    return f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{"".join(parts)}</ol></nav>'


def entry(link: str, title: str, below: str = "") -> str:
    """A line of the table of contents, and the lines below it."""
    lines = f"<ol>{below}</ol>" if below else ""
    return f'<li><a href="{link}">{escape(title)}</a>{lines}</li>'
