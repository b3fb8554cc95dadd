"""The EPUB that `make epub` has made: well-formed, whole, without a script."""

import posixpath
import zipfile
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

HTML = "{http://www.w3.org/1999/xhtml}"
OPF = "{http://www.idpf.org/2007/opf}"
DC = "{http://purl.org/dc/elements/1.1/}"
SVG = "{http://www.w3.org/2000/svg}"
MATH = "{http://www.w3.org/1998/Math/MathML}"
TYPE = "{http://www.idpf.org/2007/ops}type"


@pytest.fixture(scope="module")
def files(epub_file):
    with zipfile.ZipFile(epub_file) as archive:
        assert archive.namelist()[0] == "mimetype"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def pages(files):
    """Each file of text, parsed: a file that is not well-formed fails here."""
    return {
        name: ElementTree.fromstring(data)
        for name, data in files.items()
        if name.endswith((".xhtml", ".opf"))
    }


@pytest.fixture(scope="module")
def package(pages):
    return pages["book/book.opf"]


def words(node):
    return " ".join("".join(node.itertext()).split())


def test_every_chapter_is_in_the_navigation_in_order(pages, titles):
    links = list(pages["book/nav.xhtml"].iter(f"{HTML}a"))
    assert [words(link) for link in links if "#" not in link.get("href")] == titles
    assert len(links) > 200


def test_chapters_are_read_in_order(pages, package, titles):
    names = {item.get("id"): item.get("href") for item in package.iter(f"{OPF}item")}
    spine = [names[item.get("idref")] for item in package.iter(f"{OPF}itemref")]
    assert spine[:3] == ["cover.xhtml", "title.xhtml", "nav.xhtml"]
    assert [
        words(next(pages[f"book/{name}"].iter(f"{HTML}h1"))) for name in spine[3:]
    ] == titles


def test_the_manifest_lists_what_is_there(files, package):
    listed = {f"book/{item.get('href')}" for item in package.iter(f"{OPF}item")}
    assert listed == set(files) - {
        "mimetype",
        "META-INF/container.xml",
        "book/book.opf",
    }


def test_every_link_and_image_resolves(files, pages):
    ids = {
        name: {node.get("id") for node in page.iter()} for name, page in pages.items()
    }
    checked = 0
    for name, page in pages.items():
        for node in page.iter():
            link = node.get("href") or node.get("src")
            if not link or urlsplit(link).scheme in ("https", "data"):
                continue
            parts = urlsplit(link)
            file = (
                posixpath.normpath(posixpath.join("book", unquote(parts.path)))
                if parts.path
                else name
            )
            assert file in files, f"{name}: {link}"
            assert not parts.fragment or unquote(parts.fragment) in ids[file], (
                f"{name}: {link}"
            )
            checked += 1
    assert checked > 500


def test_no_script_and_no_name_of_our_own(pages):
    names = {
        node.tag
        for page in pages.values()
        for node in page.iter()
        if isinstance(node.tag, str)
    }
    assert not {name for name in names if name.endswith("}script")}
    assert not {
        name
        for name in names
        if name.startswith(HTML) and "-" in name.removeprefix(HTML)
    }


def test_formulas_and_drawings_are_there(pages):
    every = [node for page in pages.values() for node in page.iter()]
    assert sum(node.tag == f"{MATH}math" for node in every) > 15
    drawings = [node for node in every if node.tag == f"{SVG}svg"]
    assert len(drawings) > 40
    assert all("viewBox" in node.attrib or "width" in node.attrib for node in drawings)
    assert not [
        node for node in every if node.get("class", "").startswith("katex-html")
    ]


def test_ids_are_unique(pages):
    for name, page in pages.items():
        ids = [node.get("id") for node in page.iter() if node.get("id")]
        assert len(ids) == len(set(ids)), name


def test_it_says_what_it_is(package, pages):
    assert package.findtext(f".//{DC}title") == "The Shape of Attention"
    assert package.findtext(f".//{DC}language") == "en"
    assert "CC BY 4.0" in package.findtext(f".//{DC}rights")
    assert [
        item
        for item in package.iter(f"{OPF}item")
        if item.get("properties") == "cover-image"
    ]
    assert {
        page.get("lang") for name, page in pages.items() if name.endswith(".xhtml")
    } == {"en"}
