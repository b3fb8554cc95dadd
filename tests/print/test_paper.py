"""A page that a reader prints from the browser: light, without what is there to be pressed, nothing cut."""

import browse
import pypdfium2
import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def printed(site):
    """The longest-lived chapter, printed by a reader whose system is dark."""
    with sync_playwright() as playwright:
        browser = browse.launch(playwright)
        page = browser.new_page(color_scheme="dark")
        page.goto((site / "book" / "attention.html").as_uri())
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        data = page.pdf(print_background=True, format="A4")
        after = page.evaluate("document.documentElement.dataset.theme")
        browser.close()
    return pypdfium2.PdfDocument(data), after


def test_paper_is_light(printed):
    document, _ = printed
    for page in document:
        image = page.render(scale=0.3).to_pil().convert("L")
        pixels = list(image.get_flattened_data())
        assert sum(pixels) / len(pixels) > 215
        assert image.getpixel((2, 2)) == 255


def test_the_page_is_dark_again(printed):
    assert printed[1] == "dark"


def test_only_the_chapter_is_printed(printed):
    text = "\n".join(page.get_textpage().get_text_range() for page in printed[0])
    assert "Scores: every query against every key" in text
    for word in (
        "Search",
        "Contents",
        "Colab",
        "Back to top",
        "Ctrl",
        "previous",
        "Repository",
    ):
        assert word not in text, word
