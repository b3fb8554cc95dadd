"""What the PDF and the EPUB are made of, each part by itself."""

import importlib
from xml.etree import ElementTree

import chapters
import folds
import listings
import package
import pytest
import toc
import xhtml
from bs4 import BeautifulSoup


def html(text):
    return BeautifulSoup(text, "html.parser")


def split(text):
    soup = html(f"<pre>{text}</pre>")
    listings.split_lines(soup.pre)
    return soup.pre


@pytest.mark.parametrize(
    "text", ["a\nb\n", "a\n\n  b", "", "\n", "x <i>y\n  z</i> w\n<b>\n</b>q\n"]
)
def test_lines_keep_their_text(text):
    plain = html(text).get_text()
    assert split(text).get_text().rstrip("\n") == plain.rstrip("\n")


def test_what_is_highlighted_across_lines_is_so_in_each():
    first, second = split('<span class="s">"""a\nb"""</span>').select(".line")
    assert [str(first.span), str(second.span)] == [
        '<span class="s">"""a</span>',
        '<span class="s">b"""</span>',
    ]


def test_a_long_listing_may_break_and_a_short_one_not():
    assert "short" in split("a\n" * 12)["class"]
    assert "short" not in split("a\n" * 13)["class"]


PAGE = """<article>
<div class="cell"><details class="cell-fold set-up"><summary>Set-up</summary>import</details>
</div><div class="cell"><details class="cell-fold check"><summary>✓ equal</summary>assert</details></div>
<div class="cell"><svg></svg><details class="cell-fold made-by"><summary>The code</summary>draw</details>
</div><div class="listing"><span class="docstring">words</span>body</div>
<details><summary>Answer</summary>because</details>
<figure><svg></svg><details class="as-table"><summary>As a table</summary>4 5 6</details></figure>
</article>"""


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_folded(keep):
    page = html(PAGE)
    folds.settle(page.article, keep_tables=keep)
    text = page.get_text()
    assert not [
        word
        for word in ("Set-up", "import", "assert", "draw", "The code", "words")
        if word in text
    ]
    assert not [
        word for word in ("✓ equal", "body", "Answer", "because") if word not in text
    ]
    assert ("4 5 6" in text) is keep
    assert len(page.select("details")) == keep
    assert len(page.select("div.cell")) == 2


def chapter(text, page="book/heads"):
    return chapters.Chapter(
        page, "Part", True, html(f"<article>{text}</article>").article
    )


def test_ids_and_what_refers_to_them_are_the_chapters_own():
    own = chapter(
        '<svg aria-labelledby="a b"><g id="a"/><g id="b" clip-path="url(#a)"/><g id="a"/></svg>'
    )
    chapters.own_ids(own.article, own.name)
    assert [node["id"] for node in own.article.select("[id]")] == [
        "heads--a",
        "heads--b",
    ]
    assert own.article.svg["aria-labelledby"] == "heads--a heads--b"
    assert own.article.select_one("#heads--b")["clip-path"] == "url(#heads--a)"


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("#a", "#heads--a"),
        ("mask.html", "#mask"),
        ("mask.html#b", "#mask--b"),
        ("../book/mask.html#b", "#mask--b"),
        ("../_modules/companion.html#c", "site:_modules/companion.html#c"),
        ("https://example.org/mask.html", "https://example.org/mask.html"),
    ],
)
def test_links(link, leads):
    own = chapter(f'<a href="{link}">x</a>')
    chapters.own_links(own, {"book/heads.html": "heads", "book/mask.html": "mask"})
    assert own.article.a["href"] == leads


FORMULA = (
    '<span class="katex"><span class="katex-mathml"><math><mi>x</mi></math></span>'
    '<span class="katex-html">x</span></span>'
)
MARKUP = {
    "formula": f"<p>{FORMULA} &lt; 1</p>",
    "drawing": '<svg viewbox="0 0 1 1"><clippath id="a"></clippath><use xlink:href="#a"/></svg>',
    "element": '<kv-film class="a" onclick="go()" tabindex="0"><svg></svg><br></kv-film>',
}


@pytest.mark.parametrize("kind", MARKUP)
def test_xhtml_is_well_formed(kind):
    written = xhtml.to_xhtml(html(f"<article>{MARKUP[kind]}</article>").article)
    tree = ElementTree.fromstring(xhtml.page("Title", written, "en", []))
    assert "html" in tree.tag
    assert not [
        word
        for word in (
            "katex-html",
            "viewbox",
            "clippath",
            "xlink",
            "<kv-film",
            "onclick",
        )
        if word in written
    ]


def test_navigation_has_parts_chapters_and_sections():
    book = [
        chapters.Chapter("book/a", "", False, None, "A & B"),
        chapters.Chapter("book/c", "Part", True, None, "C", [("c--d", "D")]),
    ]
    tree = ElementTree.fromstring(package.navigation(book).replace("epub:type", "type"))
    assert ["".join(node.itertext()) for node in tree.find("ol")] == ["A & B", "PartCD"]
    assert [node.get("href") for node in tree.iter("a")] == [
        "a.xhtml",
        "c.xhtml",
        "c.xhtml#c--d",
    ]


SCRIPTS = sorted((toc.ROOT / "book" / "_print").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_part_can_be_imported(path):
    """The book is printed when it is published; a name that is gone is seen before."""
    importlib.import_module(path.stem)
