"""Each check of the pages finds what it is there for."""

from pathlib import Path

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
    "the same text on another ground": (
        "<style>p { color: #707070 }</style><div style='background: #ddd'><p>Text</p></div>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "the same text, paler": (
        "<div style='opacity: 0.4'><p>Text</p></div>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "the same color, smaller": (
        "<p style='color: #949494; font-size: 24px'>Text</p><p style='color: #949494'>Text</p>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "the same text over something": (
        "<div style='position: relative'><p>Text</p><p>Text</p><p>Text</p>"
        "<div style='width: 300px; height: 60px; background: #222'></div>"
        "<p style='position: absolute; bottom: 0'>Text</p></div>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "a link like its text": (
        "<p>Text <a href='#top' style='color: #222; text-decoration: none'>up</a> and on</p>",
        lambda visit: browse.accessibility(visit, "light"),
    ),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) { p { color: #999 } }</style>",
        lambda visit: browse.accessibility(visit, "dark"),
    ),
    "dark, by a script": (
        "<style>[data-theme=dark] p { color: #999 }</style><script>"
        "const root = document.documentElement; root.dataset.theme = 'light';"
        "matchMedia('(prefers-color-scheme: dark)').onchange = change =>"
        " setTimeout(() => { root.dataset.theme = change.matches ? 'dark' : 'light' }, 300)"
        "</script>",
        lambda visit: browse.accessibility(visit, "dark"),
    ),
    "phone": (
        "<style>@media (max-width: 400px) { p { color: #999 } }</style>",
        lambda visit: browse.accessibility(visit, "light", browse.PHONE),
    ),
}


@pytest.fixture
def open_page(visit, tmp_path):
    def opened(text):
        file = tmp_path / "page.html"
        file.write_text(text)
        visit.open(file)
        return visit

    return opened


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_page_fails(kind, open_page):
    fault, check = BAD[kind]
    assert check(open_page(GOOD.replace("</main>", f"{fault}</main>")))


def test_a_good_page_passes(open_page):
    page = open_page(GOOD)
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


def page_of(text, folder):
    page = folder / "page.html"
    page.write_text(f"<body>{text}</body>", encoding="utf-8")
    return page


HERE = str(Path(__file__).parents[2] / "companion")


@pytest.mark.parametrize(
    "text", ["'/tmp/book'", "at /home/me/x", "site-packages/torch", "file:///a", HERE]
)
def test_a_path_of_the_machine_is_found(text, tmp_path):
    assert browse.local_paths(page_of(text, tmp_path))


def test_other_paths_are_none_of_the_machine(tmp_path):
    assert not browse.local_paths(page_of("and/or ../tmp/x /tmpfs", tmp_path))


@pytest.mark.parametrize(
    "text", ["({“heads”: 9}", "(”” if", "the role “user”", "x=“a b”"], ids=ascii
)
def test_curly_quotes_around_code_are_found(text, tmp_path):
    assert browse.curled_code(page_of(text, tmp_path))


def test_titles_and_straight_quotes_are_no_curled_code(tmp_path):
    text = "“YaRN: Efficient Context”, <code>{&quot;heads&quot;: 9}</code>, torch’s"
    assert not browse.curled_code(page_of(text, tmp_path))
