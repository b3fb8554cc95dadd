"""Bind the built book as an EPUB: `make epub` runs this.

Its chapters are the pages' own articles, as in the PDF, and so hold all that was drawn and computed. It
needs no script and no font: formulas are MathML, drawings are in the text.
"""

import argparse
import zipfile
from datetime import date
from html import escape
from pathlib import Path

import chapters
import imprint
import package
import toc
import xhtml
from chapters import Chapter
from imprint import Edition

HERE = Path(__file__).parent
CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="book/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    "</container>"
)


def main() -> None:
    """Write the EPUB beside the pages of the site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="the built pages: _build/html")
    site = parser.parse_args().site
    file = site / f"{imprint.FILE_NAME}.epub"
    about = imprint.read()
    book = chapters.chapters(site, toc.contents(), keep_tables=True)
    write(file, files_of(book, about, site), about.day)
    print(f"{file}: {len(book)} chapters, {file.stat().st_size / 1e6:.1f} MB")


def files_of(book: list[Chapter], about: Edition, site: Path) -> dict[str, bytes]:
    """The files of the EPUB by their names in it, in the order in which they are read."""
    sheets = style_sheets(site / "_static")

    def page(title: str, body: str) -> str:
        return xhtml.page(escape(title), body, about.language, list(sheets))

    image = f'<img src="cover.png" alt="{escape(about.title)}"/>'
    texts = {
        "cover.xhtml": page(
            about.title, f'<section epub:type="cover">{image}</section>'
        ),
        "title.xhtml": page(about.title, package.title_page(about)),
        "nav.xhtml": page("Contents", package.navigation(book)),
    }
    for chapter in book:
        own_files(chapter, about.address)
        texts[f"{chapter.name}.xhtml"] = page(
            chapter.title, xhtml.to_xhtml(chapter.article)
        )
    texts |= sheets
    texts["book.opf"] = package.description(about, texts)
    files = {name: text.encode() for name, text in texts.items()}
    return {**files, "cover.png": (HERE / "cover.png").read_bytes()}


def style_sheets(static: Path) -> dict[str, str]:
    """What it shares with the pages, the look and the highlighted code, and its own style."""
    sheets = {}
    if (static / "look.css").exists():
        sheets["look.css"] = (static / "look.css").read_text(encoding="utf-8")
    code = (static / "pygments.css").read_text(encoding="utf-8")
    sheets["code.css"] = xhtml.light_rules(code)
    sheets["book.css"] = (HERE / "epub.css").read_text(encoding="utf-8")
    return sheets


def own_files(chapter: Chapter, address: str) -> None:
    """Links to other chapters lead to their files, links to the rest of the site there."""
    for link in chapter.article.find_all("a", href=True):
        if link["href"].startswith("#"):
            name = link["href"][1:].partition("--")[0]
            whole = link["href"] == f"#{name}"
            link["href"] = f"{name}.xhtml" + ("" if whole else link["href"])
        link["href"] = link["href"].replace("site:", address, 1)


def write(file: Path, files: dict[str, bytes], day: str) -> None:
    """Zip them, the type first and uncompressed; of one commit always the same bytes."""
    stamp = (*date.fromisoformat(day).timetuple()[:3], 0, 0, 0)

    def add(name: str, data: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
        archive.writestr(zipfile.ZipInfo(name, stamp), data, how)

    with zipfile.ZipFile(file, "w") as archive:
        add("mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        add("META-INF/container.xml", CONTAINER.encode())
        for name, data in files.items():
            add(f"book/{name}", data)


if __name__ == "__main__":
    main()
