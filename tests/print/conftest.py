from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from bs4 import BeautifulSoup

BUILD = Path(__file__).parents[2] / "_build"
NAME = "the-shape-of-attention"


def made(file: Path) -> Path:
    assert file.is_file(), f"{file.name} is not made: make {file.suffix[1:]}"
    return file


@pytest.fixture(scope="session")
def site() -> Path:
    assert (BUILD / "html").is_dir(), "the book is not built: make book"
    return BUILD / "html"


@pytest.fixture(scope="session")
def pdf_file(site) -> Path:
    return made(site / f"{NAME}.pdf")


@pytest.fixture(scope="session")
def epub_file(site) -> Path:
    return made(site / f"{NAME}.epub")


@pytest.fixture(scope="session")
def pdf(pdf_file) -> Iterator[pypdfium2.PdfDocument]:
    document = pypdfium2.PdfDocument(pdf_file)
    yield document
    document.close()


@pytest.fixture(scope="session")
def texts(pdf) -> list[str]:
    """The text of each page."""
    return [page.get_textpage().get_text_range() for page in pdf]


@pytest.fixture(scope="session")
def book() -> BeautifulSoup:
    """The document that the PDF was printed from."""
    file = BUILD / "print" / "book.html"
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="session")
def titles(site) -> list[str]:
    """What each page of the book is called, in the book's order."""
    import toc

    pages = [site / f"{page}.html" for page in toc.pages()]
    return [
        title(BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser"))
        for page in pages
    ]


def title(page: BeautifulSoup) -> str:
    heading = page.select_one("article.bd-article h1")
    heading.select_one(".headerlink").decompose()
    return " ".join(heading.get_text().split())
