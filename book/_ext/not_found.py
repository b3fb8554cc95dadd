"""The page for an address that leads nowhere.

A server shows it at any depth, so its links begin at the site's root.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.application import Sphinx

LINK = re.compile(
    r'\b(href|src|action|data-content_root)="(?!#|data:|[a-z]+:|//)([^"]*)"'
)


def rooted(page: str, prefix: str) -> str:
    """A page at the top of the site with all links of its own beginning there."""

    def link(match: re.Match) -> str:
        return f'{match[1]}="{prefix}{match[2].removeprefix("./")}"'

    return LINK.sub(link, page)


def root_links(app: Sphinx, failed: Exception | None) -> None:
    """Rewrite the page when the site is done."""
    file = Path(app.outdir) / "404.html"
    if failed is None and file.exists():
        prefix = urlsplit(app.config.html_baseurl).path or "/"
        file.write_text(
            rooted(file.read_text(encoding="utf-8"), prefix), encoding="utf-8"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the page, whose words are its template."""
    app.config.html_additional_pages["404"] = "404.html"
    app.connect("build-finished", root_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
