"""What is shown where a page is shared: its own title and first sentences, and the book's card."""

import struct

import browse
import toc
from docutils import nodes
from page_meta import LONGEST, description, shortened

BASE = "https://the-shape-of-attention.github.io/book/"


def tags(site, name):
    metas = browse.parsed(site / f"{name}.html").find_all("meta")
    return {
        meta.get("property", meta.get("name")): meta.get("content") for meta in metas
    }


def test_each_page_has_its_own(site):
    found = {name: tags(site, name) for name in toc.pages()}
    for name, tag in found.items():
        assert tag["og:url"] == f"{BASE}{name}.html"
        assert (
            tag["og:image"] == tag["twitter:image"] == f"{BASE}_static/social-card.png"
        )
        assert tag["twitter:card"] == "summary_large_image"
        assert tag["description"] == tag["og:description"] == tag["twitter:description"]
        assert 20 < len(tag["description"]) <= LONGEST, name
        heading = browse.parsed(site / f"{name}.html").select_one("article h1")
        assert tag["og:title"] in heading.get_text()
    chapters = [found[name]["description"] for name in toc.numbered()]
    assert len({*chapters}) == len(chapters)
    assert not [text for text in chapters if "minutes to read" in text]


def test_pages_without_a_source_have_a_title_too(site):
    titles = [tags(site, name)["og:title"] for name in ("search", "genindex", "404")]
    assert titles == ["Search", "Index", "No such page"]


def test_the_card(site):
    data = (site / "_static" / "social-card.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1200, 630)
    assert len(data) < 120_000


def test_a_long_text_ends_with_a_sentence_or_a_word():
    sentences = "What is it? " + "It is a long answer of many words. " * 9
    assert shortened(sentences).endswith("words.")
    words = "word " * 99
    assert shortened(words).endswith("word…")
    assert len(shortened(words)) <= LONGEST
    assert shortened("Short.") == "Short."


def test_the_reading_time_is_no_description():
    document = nodes.document(None, None)
    document += nodes.paragraph(
        "", "9 minutes to read: many words", classes=["reading-time"]
    )
    document += nodes.paragraph("", "One two three four.")
    assert description(document) == "One two three four."
    assert description(None)
