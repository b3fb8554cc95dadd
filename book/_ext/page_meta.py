"""What a link to a page shows where it is shared: its title, its first sentences, and the book's card."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 200  # characters of a description
CARD = "_static/social-card.png"
WITHOUT_SOURCE = {"search": "Search", "genindex": "Index", "404": "No such page"}
CARD_SAYS = (
    "The Shape of Attention: what happens inside a Llama forward pass, by running it"
)


def description(document: nodes.document | None) -> str:
    """The beginning of a page's first paragraph that is a sentence, cut after a word."""
    for paragraph in document.findall(nodes.paragraph) if document else ():
        text = " ".join(paragraph.astext().split())
        if "reading-time" not in paragraph["classes"] and len(text.split()) > 3:
            return shortened(text)
    return "What exactly happens inside a Llama forward pass?"


def shortened(text: str) -> str:
    """Whole sentences if one fits, else whole words."""
    if len(text) <= LONGEST:
        return text
    cut = text[: LONGEST - 1]
    ends = [cut.rfind(end) for end in (". ", "? ", "! ")]
    if max(ends) > LONGEST // 3:
        return cut[: max(ends) + 1]
    return cut.rpartition(" ")[0].rstrip(",;:") + "…"


def add(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    document: nodes.document | None,
) -> None:
    """Give the head's template its tags."""
    if page in app.env.titles:
        title = app.env.titles[page].astext()
    else:  # of the code of a module, its name
        title = WITHOUT_SOURCE.get(
            page, page.rpartition("_modules/")[2].replace("/", ".")
        )
    text = description(document)
    context["meta_tags"] = [
        ("description", text),
        ("og:type", "website" if page == app.config.root_doc else "article"),
        ("og:site_name", app.config.html_title or app.config.project),
        ("og:title", title),
        ("og:description", text),
        ("og:url", context.get("pageurl") or app.config.html_baseurl),
        ("og:image", app.config.html_baseurl + CARD),
        ("og:image:width", "1200"),
        ("og:image:height", "630"),
        ("og:image:alt", CARD_SAYS),
        ("twitter:card", "summary_large_image"),
        ("twitter:title", title),
        ("twitter:description", text),
        ("twitter:image", app.config.html_baseurl + CARD),
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the tags."""
    app.connect("html-page-context", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
