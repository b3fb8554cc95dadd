"""The built book, as a reader's browser shows it from the disk."""

from pathlib import Path

import browse
import pytest
import toc

ROOT = Path(__file__).parents[2]
EXTRA = ["genindex", "search"]  # the theme's own pages


def size(name):
    files = [ROOT / f"{name}.{kind}" for kind in ("ipynb", "md")]
    return sum(file.stat().st_size for file in files if file.exists())


@pytest.mark.parametrize("name", sorted([*toc.pages(), *EXTRA], key=size, reverse=True))
def test_page(name, visit, site, record_property):
    visit.open(site / f"{name}.html")
    record_property("weight", (name, len(visit.requests), *visit.weight()))
    # What is folded away is part of the page too.
    visit.page.evaluate(
        "document.querySelectorAll('details').forEach(node => node.open = true)"
    )
    problems = {
        "requests to other hosts": browse.foreign_requests(visit),
        "no text alternative": browse.missing_names(visit),
        "accessibility, light": browse.accessibility(visit, "light"),
        "accessibility, dark": browse.accessibility(visit, "dark"),
        "scrolls sideways": browse.sideways_scroll(visit),
        "accessibility, phone": browse.accessibility(visit, "light", browse.PHONE),
        "complaints": browse.complaints(visit),
    }
    if report := [
        f"{kind}: {problem}" for kind, found in problems.items() for problem in found
    ]:
        pytest.fail("\n".join(report), pytrace=False)


def test_links(site):
    files = [
        file
        for file in sorted(site.rglob("*.html"))
        if "_static" not in file.parts and file.name != "404.html"
    ]
    assert not [link for file in files for link in browse.broken_links(file)]


def test_nothing_names_the_machine_that_built_it(site):
    kinds = {".html", ".js", ".ipynb", ".md"}
    files = [file for file in sorted(site.rglob("*")) if file.suffix in kinds]
    assert len(files) > 50
    assert not {
        str(file): found for file in files if (found := browse.local_paths(file))
    }


def test_code_in_docstrings_is_set_as_code(site):
    pages = [name for name in toc.pages() if "/api" in name]
    assert not [
        found for name in pages for found in browse.curled_code(site / f"{name}.html")
    ]


def test_front_door(site):
    """index.html leads to the first page of the table of contents."""
    refresh = browse.parsed(site / "index.html").find(
        "meta", attrs={"http-equiv": "Refresh"}
    )
    assert refresh["content"].partition("url=")[2] == f"{toc.pages()[0]}.html"


def test_search(visit, site):
    visit.open(site / "search.html", "?q=attention")
    visit.page.wait_for_selector("#search-results li a", timeout=5000)
    assert not browse.complaints(visit)


def test_repository_links_lead_to_the_page(site):
    """The launch, repository and issue buttons are there (one wrong setting drops them without a word)."""
    for name in toc.pages():
        if not (ROOT / f"{name}.ipynb").exists():
            continue
        targets = [
            tag["href"]
            for tag in browse.parsed(site / f"{name}.html").find_all("a", href=True)
        ]
        for host in ("https://mybinder.org", "https://colab.research.google.com"):
            assert [
                target
                for target in targets
                if target.startswith(host) and f"{name}.ipynb" in target
            ], host
        assert [target for target in targets if "/issues/new" in target]
