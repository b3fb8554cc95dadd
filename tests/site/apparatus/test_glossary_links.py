"""Words of the glossary in a chapter: linked once, where a reader meets them, and nowhere else."""

import browse
import pytest
import toc
from docutils import nodes
from glossary import Entry
from glossary_links import Linker, link_words

HEAD = Entry(("head",), "term-head", "A small attention.", "book/heads", "x")
SOFTMAX = Entry(("softmax",), "term-softmax", "Weights.", "book/attention", "x")
ONLINE = Entry(("online softmax",), "term-online", "In pieces.", "book/online", "x")
GQA = Entry(("GQA", "grouped-query attention"), "term-GQA", "Shared.", "book/gqa", "x")
KV = Entry(("KV",), "term-KV", "Key and value.", "book/gqa", "x")
KV_CACHE = Entry(("KV cache",), "term-KV-cache", "Kept.", "book/kv_cache", "x")
ALL = [HEAD, SOFTMAX, ONLINE, GQA, KV, KV_CACHE]


def page(*children: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)
    document += children
    return document


def sentence(text: str) -> nodes.paragraph:
    return nodes.paragraph("", text)


def linked(document: nodes.document) -> list[str]:
    link_words(document, Linker(ALL, "glossary.html"))
    links = document.findall(
        lambda node: (
            "glossary-link" in getattr(node, "attributes", {}).get("classes", ())
        )
    )
    return [link.astext() for link in links]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A head has a head.", ["head"]),
        ("Heads are many.", ["Heads"]),
        ("An online softmax, then a softmax.", ["online softmax", "softmax"]),
        ("A KV cache.", ["KV cache"]),
        ("GQA, or grouped-query attention.", ["GQA"]),
        ("Grouped-query attention, or GQA.", ["Grouped-query attention"]),
        ("gqa is no word, multi-head is another, and so is ahead, headed.", []),
        ("lm-head and head-first", []),
        ("", []),
    ],
)
def test_words_in_a_sentence(text, words):
    assert linked(page(sentence(text))) == words


def test_the_text_stays_as_it_was():
    text = "A head, its softmax, and a head."
    document = page(sentence(text))
    assert len(linked(document)) == 2
    assert document.astext() == text


def test_a_link_says_what_the_word_means():
    document = page(sentence("One head."))
    linked(document)
    link = document.next_node(nodes.reference)
    assert link["refuri"] == "glossary.html#term-head"
    assert link["reftitle"] == "A small attention."


@pytest.mark.parametrize(
    "first",
    [
        nodes.title("", "The head"),
        nodes.literal_block("", "head = 1"),
        nodes.table("", nodes.entry("", sentence("head"))),
        nodes.container("", sentence("head"), classes=["cell"]),
        nodes.paragraph("", "", nodes.literal("", "head")),
        nodes.paragraph("", "", nodes.math("", "head")),
    ],
    ids=lambda node: type(node.children[0]).__name__ + type(node).__name__,
)
def test_what_is_no_sentence_is_passed_over(first):
    document = page(first, sentence("The second head is linked."))
    assert linked(document) == ["head"]
    assert document.children[1].next_node(nodes.reference)


@pytest.mark.parametrize(
    "first",
    [
        nodes.emphasis("", "heads"),
        nodes.strong("", "head"),
        nodes.reference("", "the head", refuri="heads.html"),
    ],
    ids=lambda node: type(node).__name__,
)
def test_what_a_chapter_explains_or_links_itself_needs_no_link(first):
    document = page(nodes.paragraph("", "", first), sentence("A head."))
    assert linked(document) == []


# ---- the built site


def found(site, name):
    return browse.parsed(site / f"{name}.html").select("a.glossary-link")


def explained_in(site):
    """For each anchor of the glossary the chapter that its entry leads to."""
    where = {}
    for meaning in browse.parsed(site / "book" / "glossary.html").select(
        "dl.glossary > dd"
    ):
        chapter = meaning.find_all("a")[-1]["href"].partition(".html")[0]
        term = meaning
        while (term := term.find_previous_sibling()) is not None and term.name == "dt":
            where[term["id"]] = f"book/{chapter}"
    return where


CHAPTERS = [name.removesuffix(".ipynb") for name in toc.notebooks()]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_links_its_words(name, site):
    links = found(site, name)
    anchors = [link["href"].partition("#")[2] for link in links]
    assert len(anchors) >= 3
    assert len(anchors) == len({*anchors})
    explained = explained_in(site)
    assert not [anchor for anchor in anchors if explained[anchor] == name]
    outside = "h1, h2, h3, h4, pre, code, table, .cell, a a"
    assert not [link for link in links if link.find_parent(outside.split(", "))]
    assert all(link["title"] for link in links)


def test_other_pages_have_none(site):
    others = {*toc.pages()} - {*CHAPTERS}
    assert not [name for name in others if found(site, name)]


def test_a_word_is_quieter_than_a_link(visit, site):
    visit.open(site / "book" / "kv_cache.html")
    style = visit.page.evaluate(
        """() => {
          const link = document.querySelector("a.glossary-link");
          const [own, text] = [link, link.parentElement].map(node => getComputedStyle(node));
          return [own.color === text.color, own.textDecorationLine, own.textDecorationStyle];
        }"""
    )
    assert style == [True, "underline", "dotted"]
