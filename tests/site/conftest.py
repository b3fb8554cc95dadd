from collections.abc import Iterator
from pathlib import Path

import pytest
from browse import Visit, launch
from playwright.sync_api import BrowserContext, sync_playwright


@pytest.fixture(scope="session")
def context() -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser.new_context(offline=True)
        browser.close()


@pytest.fixture(scope="session")
def blank(tmp_path_factory) -> Path:
    """What a page shows before it is shown anything."""
    file: Path = tmp_path_factory.mktemp("blank") / "page.html"
    file.touch()
    return file


@pytest.fixture(scope="session")
def visit(context: BrowserContext, blank: Path) -> Visit:
    """A page for one file after the other, which a new page would take longer to open."""
    return Visit(context, blank)


@pytest.fixture(scope="session")
def site() -> Path:
    site = Path(__file__).parents[2] / "_build" / "html"
    assert site.is_dir(), "the book is not built: make book"
    return site


def pytest_terminal_summary(terminalreporter) -> None:
    reports = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.getreports(kind)
    ]
    weights = [
        value
        for report in reports
        for key, value in report.user_properties
        if key == "weight"
    ]
    if weights:
        terminalreporter.section("page weight")
        terminalreporter.line(f"{'page':<28}{'requests':>9}{'KB':>7}{'KB gzip':>9}")
    for page, requests, raw, packed in weights:
        terminalreporter.line(
            f"{page:<28}{requests:>9}{raw // 1024:>7}{packed // 1024:>9}"
        )
