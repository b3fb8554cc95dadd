"""What stands before the first chapter: the title page and the table of contents; and the frame around all."""

from html import escape
from pathlib import Path

from chapters import Chapter
from edition import LICENSE, QUESTION, Edition

HERE = Path(__file__).parent


def title_page(about: Edition) -> str:
    logo = (HERE.parent / "_static" / "logo.svg").read_text(encoding="utf-8")
    edition = f"Version {about.version}, {about.day}" + (
        f", commit {about.commit}" if about.commit else ""
    )
    facts = (
        escape(about.author),
        edition,
        f'Read it online, run it, change it: <a href="{about.address}">{about.address}</a>',
        f'Text and figures: <a href="{LICENSE}">CC BY 4.0</a>. Code: MIT. © {about.year} {escape(about.author)}',
    )
    lines = "".join(f"<p>{fact}</p>" for fact in facts)
    return (
        f'<section class="title-page">{logo}<h1>{escape(about.title)}</h1>'
        f'<p class="question">{escape(QUESTION)}</p><div class="facts">{lines}</div></section>'
    )


def contents(chapters: list[Chapter], pages: dict[str, int]) -> str:
    """The table of contents; `pages` says on which page an id is, as far as that is known."""
    rows, part = [], ""
    for chapter in chapters:
        if chapter.part != part:
            part = chapter.part
            rows.append(f'<p class="part">{escape(part)}</p>')
        rows.append(row("chapter", chapter.name, chapter.title, pages))
        rows += [row("section", id, title, pages) for id, title in chapter.sections]
    return f'<nav class="whole-contents" id="contents"><h1>Contents</h1>{"".join(rows)}</nav>'


def row(kind: str, id: str, title: str, pages: dict[str, int]) -> str:
    return (
        f'<p class="{kind}"><a href="#{escape(id)}"><span>{escape(title)}</span>'
        f"<i></i><b>{pages.get(id, '')}</b></a></p>"
    )


def body(chapters: list[Chapter]) -> str:
    return "".join(
        f'<section class="chapter" id="{chapter.name}" style="page: {chapter.name}">{chapter.article}</section>'
        for chapter in chapters
    )


def running_heads(title: str, chapters: list[Chapter]) -> str:
    """One page style for each chapter: the book's title above its left half, the chapter's above its right."""
    return "".join(
        f"@page {chapter.name} {{ @top-left {{ content: {text(title)} }} "
        f"@top-right {{ content: {text(chapter.title)} }} }}\n"
        for chapter in chapters
    )


def text(words: str) -> str:
    """The words as a string of CSS."""
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
