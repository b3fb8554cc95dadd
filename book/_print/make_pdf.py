"""Print the built book as one PDF: `make pdf` runs this.

The pages are joined to one document, which Chromium prints twice: the second time its table of contents knows
on which page each section came to stand in the first.
"""

import argparse
from pathlib import Path

import browse
import chapters
import finish
import front
import imprint
import matplotlib
import toc
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
WIDTH = 170 * 96 / 25.4  # A4 without its margins, in pixels


def main() -> None:
    """Write the PDF beside the pages of the site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="the built pages: _build/html")
    parser.add_argument(
        "folder", type=Path, help="where the one document is put: _build/print"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    book = chapters.chapters(options.site, toc.contents())
    about = imprint.read()
    file = options.site / f"{imprint.FILE_NAME}.pdf"
    printed = print_twice(book, about, options.site, options.folder / "book.html")
    finish.finish(printed, book, about, file)
    print(f"{file}: {finish.summary(file)}")


def print_twice(
    book: list[chapters.Chapter], about: imprint.Edition, site: Path, file: Path
) -> bytes:
    """The PDF as Chromium makes it."""
    with sync_playwright() as playwright:
        browser = browse.launch(playwright)
        page = browser.new_page(viewport={"width": round(WIDTH), "height": 960})
        page.emulate_media(media="print", color_scheme="light")
        printed, pages = b"", {}
        for _ in range(2):
            file.write_text(document(book, about, site, pages), encoding="utf-8")
            printed = print_page(page, file)
            pages = finish.pages_of_ids(printed)
        browser.close()
    return printed


def print_page(page: Page, file: Path) -> bytes:
    """One printing, with what is too wide made to fit."""
    page.goto(file.resolve().as_uri())
    page.evaluate("document.fonts.ready")
    for small in page.evaluate((HERE / "fit.js").read_text()):
        print("smaller than can be read on paper:", small)
    return page.pdf(prefer_css_page_size=True, print_background=True, tagged=True)


def document(
    book: list[chapters.Chapter],
    about: imprint.Edition,
    site: Path,
    pages: dict[str, int],
) -> str:
    """The whole book as one page of HTML."""
    parts = front.title_page(about), front.contents(book, pages), front.body(book)
    text = "".join(parts).replace('="site:', f'="{about.address}')
    rules = fonts() + front.running_heads(about.title, book)
    head = f"<title>{about.title}</title>{styles(site)}<style>{rules}</style>"
    return (
        f'<!doctype html><html lang="{about.language}" data-theme="light" data-mode="light">'
        f'<head><meta charset="utf-8">{head}</head><body>{text}</body></html>'
    )


def styles(site: Path) -> str:
    """Links to the styles of the pages, and to what the PDF has beyond them."""
    sheets = chapters.style_sheets(site / f"{toc.pages()[0]}.html")
    links = [sheet.as_uri() for sheet in [*sheets, (HERE / "pdf.css").resolve()]]
    return "".join(f'<link rel="stylesheet" href="{link}">' for link in links)


def fonts() -> str:
    """Code, and signs that the text's font lacks, in matplotlib's fonts: on every machine the same."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = {
        ("Code", "normal", 400): "DejaVuSansMono",
        ("Code", "normal", 700): "DejaVuSansMono-Bold",
        ("Code", "italic", 400): "DejaVuSansMono-Oblique",
        ("Signs", "normal", 400): "DejaVuSans",
    }
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-style: {style}; font-weight: {weight}; '
        f'src: url("{(folder / file).as_uri()}.ttf"); }}\n'
        for (family, style, weight), file in faces.items()
    )


if __name__ == "__main__":
    main()
