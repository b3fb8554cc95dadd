"""Signatures that read as code: one parameter on a line.

Sphinx puts a `<dl>` of `<dd>` without a `<dt>` into the `<dt>` of a function, which is no list of
definitions: here they are lines.
"""

import re
from typing import Any

from sphinx.application import Sphinx

SIGNATURE = re.compile(r'<dt class="sig.*?</dt>', re.DOTALL)
LIST = re.compile(r"\s*<dl>\s*(.*?)\s*</dl>\s*", re.DOTALL)
PARAMETER = re.compile(r"<dd>(.*?)</dd>\s*", re.DOTALL)


def mended(body: str) -> str:
    """A page with its parameters as lines of code."""
    return SIGNATURE.sub(lambda match: LIST.sub(lines, match[0]), body)


def lines(parameters: re.Match) -> str:
    """The parameters of one signature."""
    items = PARAMETER.sub(r'<span class="sig-line">\1</span>', parameters[1])
    return f'<span class="sig-lines">{items}</span>'


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: object
) -> None:
    """Mend a page that has signatures."""
    if "sig-param" in context.get("body", ""):
        context["body"] = mended(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the mending."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
