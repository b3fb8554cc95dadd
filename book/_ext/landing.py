"""The landing page's own stylesheet, on that page alone."""

from docutils import nodes
from sphinx.application import Sphinx


def add_stylesheet(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Load it on the first page of the table of contents."""
    if page == app.config.root_doc:
        app.add_css_file("landing.css", priority=850)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the stylesheet."""
    app.connect("html-page-context", add_stylesheet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
