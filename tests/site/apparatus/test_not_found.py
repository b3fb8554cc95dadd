"""The page for an address that leads nowhere, as GitHub Pages serves it: below /book/, at any depth."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import browse
import pytest
from not_found import rooted


class Pages(SimpleHTTPRequestHandler):
    """The site below /book/, and 404.html for what is not there."""

    def translate_path(self, path: str) -> str:
        path = urlsplit(path).path
        return (
            super().translate_path(path.removeprefix("/book"))
            if path.startswith("/book/")
            else "/nowhere"
        )

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        body = Path(self.directory, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(site) -> Iterator[str]:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Pages, directory=str(site))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/book/nowhere.html", "/book/a/b/c/", "/nowhere"])
def test_it_is_whole_at_any_depth(path, address, context):
    online = context.browser.new_context()
    page = online.new_page()
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "response", lambda answer: answer.status >= 400 and failed.append(answer.url)
    )
    page.goto(address + path, wait_until="load")
    assert page.locator("h1").inner_text() == "No such page"
    assert failed == [address + path]
    assert not [
        url for url in asked if urlsplit(url).netloc != urlsplit(address).netloc
    ]
    page.locator(".bd-article input[name=q], main input[name=q]").first.fill("rope")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    assert urlsplit(page.url).path == "/book/search.html"
    online.close()


def test_its_links_lead_to_pages(site):
    links = [
        link for link in browse.links(site / "404.html") if not link.startswith("#")
    ]
    assert len(links) > 40
    assert all(link.startswith("/book/") for link in links)
    paths = {
        urlsplit(urljoin("http://x", link)).path.removeprefix("/book/")
        for link in links
    }
    assert not [path for path in paths if not (site / path).is_file()]


def test_other_addresses_stay():
    text = (
        '<a href="#x"><a href="https://x.org/y"><img src="data:,">'
        '<a href="book/a.html"><a href="./b.html">'
    )
    expected = text.replace('"book/', '"/p/book/').replace('"./b', '"/p/b')
    assert rooted(text, "/p/") == expected
