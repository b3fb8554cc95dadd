"""A figure that responds, alone in a page: opened from the package, without the book."""

from collections.abc import Callable, Iterator

import browse
import pytest
from alone import document
from playwright.sync_api import BrowserContext, Page

from companion.show.interactive.element import Interactive


class Opened:
    """The page, the element in it, and what the page complained of."""

    def __init__(self, page: Page, tag: str) -> None:
        self.page, self.tag = page, tag
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def evaluate(self, expression: str, argument: object = None) -> object:
        """What a function of (figure, argument) returns: `figure => figure.state`."""
        return self.page.evaluate(
            f"([tag, argument]) => ({expression})(document.querySelector(tag), argument)",
            [self.tag, argument],
        )

    def static(self, name: str, *arguments: object) -> object:
        """A static function of the element's class, which needs no figure."""
        return self.page.evaluate(
            f"([tag, values]) => customElements.get(tag).{name}(...values)",
            [self.tag, list(arguments)],
        )

    @property
    def readout(self) -> str:
        return self.evaluate("figure => figure.readout.textContent")

    @property
    def refused(self) -> bool:
        return self.evaluate("figure => figure.readout.classList.contains('refused')")

    def role(self, role: str, name: str):
        """A control by what a screen reader calls it."""
        return self.page.get_by_role(role, name=name, exact=True)


@pytest.fixture
def open_figure(context: BrowserContext) -> Iterator[Callable[..., Opened]]:
    pages = []

    def opened(
        figure: Interactive, size=browse.DESKTOP, scheme="light", scripts=True
    ) -> Opened:
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size(size)
        found = Opened(page, figure.tag)
        page.set_content(document(figure, scheme, scripts))
        return found

    yield opened
    for page in pages:
        page.close()
