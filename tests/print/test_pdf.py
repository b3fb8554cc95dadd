"""The PDF that `make pdf` has made: nothing is missing, cut, empty or dead."""

import re

import finish
import pikepdf
import pypdfium2.raw
import toc

MILLIMETER = 72 / 25.4
LARGEST = 10_000_000  # bytes


def squeezed(text: str) -> str:
    """Without white space, and without hyphens: those at the end of a line pdfium takes for the layout's."""
    return re.sub(r"[-\s\u00ad\u200b\u2060\ufffe]+", "", text)


def outline(items, depth=0):
    for item in items:
        yield depth, item.title, item.destination
        yield from outline(item.children, depth + 1)


def entries(pdf_file):
    with pikepdf.open(pdf_file) as file, file.open_outline() as opened:
        numbers = finish.page_numbers(file)
        return [
            (depth, title, numbers[place[0].objgen])
            for depth, title, place in outline(opened.root)
        ]


def test_every_chapter_is_in_the_outline_in_order(pdf_file, titles):
    parts = [part["caption"] for part in toc.contents()["parts"]]
    found = entries(pdf_file)
    tops = [title for depth, title, _ in found if depth == 0]
    assert tops == [titles[0], *parts]
    chapters = [title for depth, title, _ in found if depth == 1 and title in titles]
    assert [titles[0], *chapters] == titles


def test_the_outline_leads_to_the_pages_that_have_the_titles(pdf_file, texts):
    found = entries(pdf_file)
    assert len(found) > 200
    parts = {part["caption"] for part in toc.contents()["parts"]}
    assert not [
        (title, page)
        for _, title, page in found
        if title not in parts and squeezed(title) not in squeezed(texts[page - 1])
    ]
    pages = [page for _, _, page in found]
    assert pages == sorted(pages)


def test_the_table_of_contents_says_the_right_pages(pdf_file, book):
    with pikepdf.open(pdf_file) as file:
        numbers = finish.page_numbers(file)
        pages = {
            id: numbers[place[0].objgen] for id, place in finish.places(file).items()
        }
    rows = book.select(".whole-contents a")
    assert len(rows) > 200
    assert not [
        row["href"] for row in rows if int(row.b.get_text()) != pages[row["href"][1:]]
    ]


def test_no_page_is_empty(pdf, texts, book):
    heads = {
        squeezed(text) for text in re.findall(r'content: "(.*?)"', str(book.style))
    }
    for number, (page, text) in enumerate(zip(pdf, texts, strict=True), 1):
        left = squeezed(text).removesuffix(str(number))
        for head in heads:
            left = left.removeprefix(head)
        drawn = sum(
            1 for _ in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_PATH])
        )
        assert len(left) > 40 or drawn > 20, (
            f"page {number} holds {left!r} and {drawn} strokes"
        )


def test_no_link_is_dead(pdf_file, book):
    with pikepdf.open(pdf_file) as file:
        known = set(finish.places(file))
        links = [link for page in file.pages for link in page.get("/Annots", [])]
        names = [str(link.Dest).lstrip("/") for link in links if "/Dest" in link]
        addresses = [
            str(link.A.URI) for link in links if "/A" in link and "/URI" in link.A
        ]
    wanted = {
        link["href"][1:]
        for link in book.select('a[href^="#"]')
        if link.get_text(strip=True)
    }
    ids = {node["id"] for node in book.select("[id]")}
    assert len(wanted) > 300
    assert wanted <= ids
    assert wanted <= known
    assert set(names) <= known
    assert not [address for address in addresses if not address.startswith("https://")]


def test_all_code_is_there(texts, book):
    """Each line of each listing, whole: none is cut at the paper's edge, none is torn between two pages."""
    pages = squeezed("\n".join(texts))
    lines = {squeezed(line.get_text()) for line in book.select(".lines .line")}
    assert len(lines) > 1500
    assert not [line for line in lines if line not in pages]


def test_all_text_is_there(texts, book):
    pages = squeezed("\n".join(texts))
    cells = [
        squeezed(cell.get_text()) for cell in book.select("td, th, figcaption, h2, h3")
    ]
    cells = [cell for cell in cells if cell.isascii()]
    assert len(cells) > 2000
    assert not [cell for cell in cells if cell not in pages]


def test_nothing_reaches_beyond_the_margins(pdf):
    left, right = 20 * MILLIMETER - 2, 190 * MILLIMETER + 2
    for number, page in enumerate(pdf, 1):
        text = page.get_textpage()
        boxes = [text.get_rect(index) for index in range(text.count_rects())]
        assert not [box for box in boxes if box[0] < left or box[2] > right], (
            f"page {number}"
        )


def test_it_says_what_it_is(pdf_file):
    with pikepdf.open(pdf_file) as file, file.open_metadata() as said:
        assert said["dc:title"] == "The Shape of Attention"
        assert "CC BY 4.0" in said["dc:rights"]
        assert str(file.Root.Lang) == "en"
        assert file.Root.MarkInfo.Marked
        assert pdf_file.stat().st_size < LARGEST
