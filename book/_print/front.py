"""What stands before the first chapter, title page and table of contents, and the frame around all."""

from html import escape
from pathlib import Path

from chapters import Chapter
from imprint import QUESTION, Edition, facts

HERE = Path(__file__).parent


def title_page(about: Edition) -> str:
    """Logo, title, question, and at the foot what there is to know of this edition."""
    logo = (HERE.parent / "_static" / "logo.svg").read_text(encoding="utf-8")
    lines = "".join(f"<p>{fact}</p>" for fact in facts(about))
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
    """A line of it."""
    return (
        f'<p class="{kind}"><a href="#{escape(id)}"><span>{escape(title)}</span>'
        f"<i></i><b>{pages.get(id, '')}</b></a></p>"
    )


def body(chapters: list[Chapter]) -> str:
    """Every chapter, each on pages of its own style."""
    begin = '<section class="chapter" id="{0}" style="page: {0}">'
    return "".join(
        f"{begin.format(each.name)}{each.article}</section>\n" for each in chapters
    )


def running_heads(title: str, chapters: list[Chapter]) -> str:
    """A page style for each chapter: at the head of its pages the book's title and the chapter's."""
    return "".join(
        f"@page {chapter.name} {{ @top-left {{ content: {text(title)} }} "
        f"@top-right {{ content: {text(chapter.title)} }} }}\n"
        for chapter in chapters
    )


def text(words: str) -> str:
    """The words as a string of CSS."""
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
