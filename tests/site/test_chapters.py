"""What a reader sees of a chapter: a picture on the first screen, the lesson open, the rest a line each."""

import browse
import pytest
import toc

CHAPTERS = [name for name in toc.pages() if (toc.ROOT / f"{name}.ipynb").exists()]
LINE = 40  # px: more than one line of text is higher


@pytest.fixture(params=CHAPTERS, scope="module")
def chapter(request, context, site):
    visit = browse.Visit(context, site / f"{request.param}.html")
    yield visit
    visit.page.close()


def heights(visit, selector):
    """The heights of these elements that can be seen."""
    return visit.page.evaluate(
        """selector => [...document.querySelectorAll(selector)].filter(node => node.checkVisibility())
          .map(node => node.getBoundingClientRect().height)""",
        selector,
    )


def first_picture(visit):
    """How much of the first picture is above the first screen's lower edge, in px."""
    return visit.page.evaluate(
        """() => {
          const figures = [...document.querySelectorAll("article figure")];
          const boxes = figures.map(node => node.getBoundingClientRect());
          const first = boxes.find(box => box.height > 60);
          return first ? Math.max(Math.min(first.bottom, innerHeight) - first.top, 0) : 0;
        }"""
    )


def test_a_chapter(chapter):
    """A picture on the first screen; set-up is one line; a check is one line that opens to code and table."""
    assert first_picture(chapter) > 150
    assert all(
        height <= LINE
        for height in heights(
            chapter, "details.set-up, details.made-by, details.check, details.solution"
        )
    )
    lines = chapter.page.locator("details.check > summary").all_text_contents()
    assert all(line.startswith("✓ ") for line in lines), lines
    assert chapter.page.locator("details.check:not(:has(.cell_input))").count() == 0
    assert chapter.page.locator("details.check:not(:has(.cell_output))").count() == 0


def test_docstrings_are_a_touch_away(chapter):
    """Folded at first, and what is copied has them."""
    for listing in chapter.page.locator(".listing:has(.docstring)").all():
        docstring = listing.locator(".docstring").first
        assert not docstring.is_visible()
        code = "".join(listing.locator("pre").all_text_contents())
        assert docstring.text_content() in code
        listing.get_by_role("checkbox", name="docstrings").check()
        assert docstring.is_visible()


def test_listings_lead_to_files_that_there_are(site):
    pages = [browse.parsed(site / f"{name}.html") for name in CHAPTERS]
    assert sum(len(page.select(".listing .docstring")) for page in pages) > 40
    links = [link for page in pages for link in page.select(".listing-head a")]
    assert len(links) > 40
    for link in links:
        assert link["href"].endswith(f"/blob/main/{link.text}")
        assert (toc.ROOT / link.text).is_file()


def test_figures_are_numbered(chapter):
    """Each with its chapter's number and its own, and an anchor of that name."""
    numbers = chapter.page.evaluate(
        """() => [...document.querySelectorAll("article figure.companion-figure")]
          .map(node => [node.id, node.querySelector("figcaption .number")?.textContent])"""
    )
    chapters = {number.rsplit(".", 1)[0] for _, number in numbers if "." in number}
    assert len(chapters) <= 1
    for place, (anchor, number) in enumerate(numbers, 1):
        assert number.split()[1].split(".")[-1] == str(place)
        assert anchor == f"figure-{number.split()[1].replace('.', '-')}"


def test_axes_in_prose_are_chips(visit, site):
    visit.open(site / "book" / "attention.html")
    chip = visit.page.locator("article p code.axis-d").first
    assert chip.text_content() == "head_dim"
    decoration = chip.evaluate("node => getComputedStyle(node).textDecorationStyle")
    assert decoration == "wavy"
    formula = visit.page.locator(".katex .axis-d").first
    color = formula.evaluate("node => getComputedStyle(node).borderBottomColor")
    assert color == "rgb(12, 59, 5)"


def test_only_pages_with_such_a_figure_load_their_scripts(context, site):
    for name in toc.pages():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        assert ("/figures/figure.js" in text) == (
            '<script type="application/json">{' in text
        ), name


@pytest.mark.parametrize("what", [".katex-html", ".highlight > pre"])
def test_what_is_wider_than_a_phone_fades_until_its_end(context, site, what):
    visit = browse.Visit(context, site / "book" / "kv_cache.html")
    visit.page.set_viewport_size(browse.PHONE)
    try:
        wide = visit.page.locator(f"article {what}[data-more]:visible")
        wide.first.wait_for()
        node = wide.first.element_handle()
        assert node.evaluate("node => getComputedStyle(node).maskImage") != "none"
        node.evaluate("node => node.scrollTo(node.scrollWidth, 0)")
        visit.page.wait_for_function(
            "node => getComputedStyle(node).maskImage === 'none'", arg=node
        )
    finally:
        visit.page.close()
