"""A figure that responds, alone in a page: opened from the package, without the book."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
from alone import document
from browse import DESKTOP, Visit
from playwright.sync_api import BrowserContext, ViewportSize

from companion.show.interactive.element import Interactive


class Opened(Visit):
    """A page for one figure after the other, each in a document of its own."""

    tag = ""

    def write(self, html: str, size: ViewportSize = DESKTOP) -> Self:
        """Open what may be any page."""
        self.file.write_text(html, encoding="utf-8")
        self.page.mouse.move(0, 0)  # where no figure is
        self.open(self.file, size=size)
        return self

    def show(
        self,
        figure: Interactive,
        size: ViewportSize = DESKTOP,
        scheme: str = "light",
        scripts: bool = True,
    ) -> Self:
        """Open a page with a figure in it, as it starts."""
        self.tag = figure.tag
        return self.write(document(figure, scheme, scripts), size)

    def evaluate(self, expression: str, argument: object = None) -> object:
        """What a function of (figure, argument) returns: `figure => figure.state`."""
        return self.page.evaluate(
            f"([tag, argument]) => ({expression})(document.querySelector(tag), argument)",
            [self.tag, argument],
        )

    def static(self, name: str, *arguments: object) -> object:
        """A static function of the element's class, which needs no figure."""
        return self.each(name, [arguments])[0]

    def each(self, name: str, calls: Sequence[Sequence[object]]) -> list[object]:
        """What the function returns for each of these arguments."""
        return self.page.evaluate(
            f"([tag, calls]) => calls.map(each => customElements.get(tag).{name}(...each))",
            [self.tag, [list(each) for each in calls]],
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


@pytest.fixture(scope="session")
def opened(context: BrowserContext, blank: Path) -> Opened:
    return Opened(context, blank)


@pytest.fixture(scope="session")
def open_figure(opened: Opened) -> Callable[..., Opened]:
    return opened.show
