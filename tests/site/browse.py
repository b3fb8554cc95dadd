"""What a reader's browser makes of a page: each check takes a page and returns what is wrong, in words."""

import gzip
import re
import shutil
from collections.abc import Iterable
from functools import cache
from os import environ
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from bs4 import BeautifulSoup
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    ViewportSize,
)

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
# The browser without a window opens a page in half the time that the whole one takes.
SHELL = "chromium-headless-shell"
NAMES = (
    SHELL,
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)


# Made after the pages, by `make pdf` and `make epub`, and put at the site's root.
DOWNLOADS = ("the-shape-of-attention.pdf", "the-shape-of-attention.epub")

MISSING = (
    "The site's tests need Chromium and found none that starts. "
    "Debian: apt-get install chromium-headless-shell. "
    "Elsewhere: install Chromium or Google Chrome and set CHROMIUM to the program's path."
)


def find_chromium(playwright: Playwright) -> str:
    """Path of a Chromium: $CHROMIUM, one of the usual names, or the one that playwright downloads."""
    own = playwright.chromium.executable_path
    for name in (environ.get("CHROMIUM", ""), *NAMES, own):
        if path := shutil.which(name):
            return path
    raise RuntimeError(MISSING)


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(
        executable_path=find_chromium(playwright),
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
        ],
    )


class Visit:
    """A page, with all that it asked for and said since it was last opened from a file."""

    def __init__(self, context: BrowserContext, file: Path, query: str = "") -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "requestfailed",
            lambda request: self.complaints.append(f"failed: {request.url}"),
        )
        self.page.on(
            "console",
            lambda message: self.complaints.append(f"{message.type}: {message.text}"),
        )
        self.page.on(
            "pageerror", lambda error: self.complaints.append(f"page error: {error}")
        )
        self.open(file, query)

    def open(self, file: Path, query: str = "", size: ViewportSize = DESKTOP) -> None:
        """Open a file, in light mode; another takes a quarter of the time of another page."""
        self.file = file
        self.requests.clear()
        self.complaints.clear()
        self.page.set_viewport_size(size)
        self.page.emulate_media(
            media="screen", color_scheme="light", reduced_motion="reduce"
        )
        self.page.goto(file.as_uri() + query, wait_until="load")
        self.page.evaluate("document.fonts.ready")

    def resize(self, size: ViewportSize) -> None:
        if self.page.viewport_size != size:
            self.page.set_viewport_size(size)
            self.page.wait_for_timeout(
                400
            )  # the theme adapts its tab stops 300 ms later

    def color(self, scheme: str) -> None:
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        self.page.wait_for_function(  # a page with a theme follows by a script
            "scheme => (document.documentElement.dataset.theme ?? scheme) === scheme",
            arg=scheme,
        )

    def files(self) -> set[Path]:
        """The files that the page consists of, itself included."""
        return {
            Path(unquote(urlsplit(url).path))
            for url in self.requests
            if url.startswith("file:")
        }

    def weight(self) -> tuple[int, int]:
        """Bytes of those files, as they are and as a server compresses them."""
        sizes = [file_size(file) for file in self.files() if file.is_file()]
        return sum(raw for raw, _ in sizes), sum(packed for _, packed in sizes)


@cache
def file_size(file: Path) -> tuple[int, int]:
    data = file.read_bytes()
    packed = (
        len(data) if file.suffix in {".woff2", ".png"} else len(gzip.compress(data))
    )
    return len(data), packed


def complaints(visit: Visit) -> list[str]:
    """Console messages, uncaught errors, failed requests."""
    return list(visit.complaints)


def foreign_requests(visit: Visit) -> list[str]:
    """Requests that leave the site."""
    return [
        url
        for url in visit.requests
        if urlsplit(url).scheme not in {"file", "data", "blob"}
    ]


def missing_names(visit: Visit) -> list[str]:
    """Images without a text, drawings without an accessible name."""
    return visit.page.evaluate(
        """() => {
          const says = node => node?.textContent.trim();
          const ids = node => (node.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean);
          const named = node => node.getAttribute("aria-label")?.trim()
            || says(node.querySelector(":scope > title"))
            || ids(node).some(id => says(document.getElementById(id)));
          const hidden = node => node.closest("[aria-hidden=true]");
          const decorates = node => node.hasAttribute("alt") && says(node.closest("a, button"));
          const images = [...document.images].filter(node => !node.alt.trim() && !decorates(node));
          const drawings = [...document.querySelectorAll("svg")].filter(node => !named(node));
          return [...images, ...drawings].filter(node => !hidden(node))
            .map(node => "no name: " + node.outerHTML.slice(0, 120));
        }"""
    )


def sideways_scroll(visit: Visit) -> list[str]:
    """What makes the page wider than a phone."""
    visit.resize(PHONE)
    return visit.page.evaluate(
        """() => {
          const root = document.scrollingElement, width = innerWidth;
          if (root.scrollWidth <= width) return [];
          const scrolls = node => node && node !== document.body && node !== root
            && (getComputedStyle(node).overflowX !== "visible" || scrolls(node.parentElement));
          const wide = [...document.querySelectorAll("body *")].filter(
            node => node.getBoundingClientRect().right > width + 1 && !scrolls(node.parentElement));
          return [`${root.scrollWidth} px on a phone of ${width} px`,
            ...wide.slice(0, 5).map(node => node.outerHTML.slice(0, 120))];
        }"""
    )


# Text of one color, size and weight on the same paint has one contrast, which takes axe long to find: three
# of each will do. What lies outside the flow of the text, or in a drawing, is of a kind of its own.
ONE_OF_EACH_LOOK = """() => {
  axe.configure({rules: [{id: "color-contrast", selector: "[data-contrast], [data-contrast] *"}]});
  const paints = new Map([[null, ""]]), seen = new Map();
  const paint = node => {
    if (!paints.has(node)) {
      const s = getComputedStyle(node);
      const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.filter, s.mixBlendMode];
      const apart = ["absolute", "fixed", "sticky"].includes(s.position) || node.namespaceURI.endsWith("svg");
      const plain = own.join() === "rgba(0, 0, 0, 0),none,1,none,normal";
      const key = paint(node.parentElement);
      paints.set(node, apart ? `${paints.size}` : plain ? key : `${key} / ${own}`);
    }
    return paints.get(node);
  };
  for (const node of document.body.querySelectorAll("*")) {
    const texts = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!texts || !node.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const s = getComputedStyle(node);
    const text = [s.color, s.fontSize, s.fontWeight, s.textShadow, node.tagName];
    const states = ["[aria-hidden=true]", ":disabled, [aria-disabled=true], label"];
    const exempt = states.map(state => !!node.closest(state));
    const look = [...text, ...exempt, paint(node)].join(" | ");
    const count = (seen.get(look) || 0) + 1;
    seen.set(look, count);
    node.toggleAttribute("data-contrast", count <= 3);
  }
}"""


def accessibility(visit: Visit, scheme: str, size: ViewportSize = DESKTOP) -> list[str]:
    """Violations that axe-core finds; in dark mode of its rules on colors, as the rest is the same."""
    visit.resize(size)
    visit.color(scheme)
    if visit.page.evaluate("typeof axe === 'undefined'"):
        visit.page.evaluate(AXE_SCRIPT)
    visit.page.evaluate(ONE_OF_EACH_LOOK)
    return violations(visit, scheme)


def violations(visit: Visit, scheme: str) -> list[str]:
    """What axe finds in the page; in dark mode by its rules on colors."""
    # Preloading fetches every style sheet again, which a page from the disk may not do.
    options: dict[str, object] = {"resultTypes": ["violations"], "preload": False}
    if scheme == "dark":
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    result = visit.page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


@cache
def parsed(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text(), "html.parser")


@cache
def anchors(file: Path) -> set[str]:
    return {
        tag[name]
        for tag in parsed(file).find_all(True)
        for name in ("id", "name")
        if tag.has_attr(name)
    }


def broken_links(file: Path) -> list[str]:
    """Links and sources inside the site that lead nowhere."""
    return [
        f"{file.name}: {link}"
        for link in sorted(set(links(file)))
        if not resolves(file, link)
    ]


LOCAL = re.compile(
    r"(?<![\w.])(?:/work|/tmp|/home|/root|/Users|/content)/|site-packages|file://|"
    + re.escape(str(Path(__file__).parents[2]))
)
# What a docstring quotes in a sentence is a title. A word or a dict in quotes is code, and wants backticks.
CURLED = re.compile(r"[{\[(=]\s*[“”]|“[^\s”]*”")


def local_paths(file: Path) -> list[str]:
    """Paths of the machine that built the site."""
    return around(LOCAL, file.read_text())


def curled_code(file: Path) -> list[str]:
    """Code of a docstring that became text, with quotes that Python does not know."""
    return around(CURLED, parsed(file).get_text())


def around(pattern: re.Pattern, text: str) -> list[str]:
    return [
        text[max(match.start() - 30, 0) : match.end() + 30]
        for match in pattern.finditer(text)
    ]


def links(file: Path) -> Iterable[str]:
    for tag in parsed(file).find_all(["a", "img", "link", "script", "use"]):
        link = tag.get("href") or tag.get("src")
        if link and not urlsplit(link).scheme and not link.startswith("//"):
            yield link


def resolves(file: Path, link: str) -> bool:
    parts = urlsplit(link)
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return target.name in DOWNLOADS and (target.parent / "searchindex.js").exists()
    fragment = unquote(parts.fragment)
    return not fragment or target.suffix != ".html" or fragment in anchors(target)
