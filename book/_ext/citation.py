"""How to cite the book, as BibTeX, from CITATION.cff."""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FILE = "CITATION.cff"


def bibtex(cff: dict) -> str:
    """The entry of a CITATION.cff. Names of groups are kept together by a second pair of braces."""
    names = [
        f"{{{author['name']}}}"
        if "name" in author
        else f"{author['family-names']}, {author['given-names']}"
        for author in cff["authors"]
    ]
    year = str(cff["date-released"])[:4]
    fields = {
        "title": cff["title"],
        "author": " and ".join(names),
        "year": year,
        "version": cff["version"],
        "url": cff["url"],
    }
    key = "".join(word.lower() for word in cff["title"].split() if word != "The") + year
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@book{{{key},", *lines, "}"])


class Citation(SphinxDirective):
    """The entry as a block of code."""

    def run(self) -> list[nodes.Node]:
        """Read the file, which the page then depends on."""
        file = Path(self.env.app.confdir) / FILE
        self.env.note_dependency(str(file))
        text = bibtex(yaml.safe_load(file.read_text(encoding="utf-8")))
        return [nodes.literal_block(text, text, language="bibtex")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("cite-this-book", Citation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
