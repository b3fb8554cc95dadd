"""Each check of the pages finds what it is there for."""

import browse
import pytest

GOOD = """<!doctype html><html lang="en">
<head><title>Page</title><meta name="viewport" content="width=device-width"></head>
<body><main><h1 id="top">Page</h1><p>Text <a href="#top">up</a></p>
<svg width="9" height="9" role="img" aria-labelledby="t"><title id="t">A square</title></svg>
<div tabindex="0" style="overflow-x: auto"><p style="width: 900px">wide, in a container of its own</p></div>
</main></body></html>"""

BAD = {
    "console": ("<script>console.warn('careful')</script>", browse.complaints),
    "page error": ("<script>missing()</script>", browse.complaints),
    "missing file": ("<script src='missing.js'></script>", browse.complaints),
    "other host": (
        "<link rel='stylesheet' href='https://cdn.example.org/a.css'>",
        browse.foreign_requests,
    ),
    "image": ("<img src='data:,' alt=''>", browse.missing_names),
    "drawing": (
        "<svg width='9' height='9'><rect width='9' height='9'/></svg>",
        browse.missing_names,
    ),
    "wide": ("<p style='width: 500px'>wide</p>", browse.sideways_scroll),
    "light": (
        "<style>p { color: #999 } @media (prefers-color-scheme: dark) { p { color: #000 } }</style>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) { p { color: #999 } }</style>",
        lambda visit: browse.accessibility(visit, "dark"),
    ),
    "phone": (
        "<style>@media (max-width: 400px) { p { color: #999 } }</style>",
        lambda visit: browse.accessibility(visit, "light", browse.PHONE),
    ),
}


@pytest.fixture
def visit(context, tmp_path):
    visits = []

    def open_page(text):
        file = tmp_path / "page.html"
        file.write_text(text)
        visits.append(browse.Visit(context, file))
        return visits[-1]

    yield open_page
    for opened in visits:
        opened.page.close()


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_page_fails(kind, visit):
    fault, check = BAD[kind]
    assert check(visit(GOOD.replace("</main>", f"{fault}</main>")))


def test_a_good_page_passes(visit):
    page = visit(GOOD)
    assert not [problem for _, check in BAD.values() for problem in check(page)]
    assert not browse.broken_links(page.file)


@pytest.mark.parametrize("link", ["missing.html", "#nowhere", "other.html#nowhere"])
def test_a_broken_link_is_found(link, tmp_path):
    (tmp_path / "other.html").write_text(GOOD)
    page = tmp_path / "page.html"
    page.write_text(
        f"<a href='{link}'>a</a><a href='other.html#top'>b</a><a href='https://example.org'>c</a>"
    )
    assert browse.broken_links(page) == [f"page.html: {link}"]


def test_chromium_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CHROMIUM", "")
    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        browse.find_chromium()
