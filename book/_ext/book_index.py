"""The index: where the words of the glossary are explained, and the entries of index_entries.yml.

Each leads to a section of a chapter. The search reads the same entries.
"""

from pathlib import Path

import glossary
import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

LIST = "book/index_entries.yml"

logger = logging.getLogger(__name__)


def places(app: Sphinx) -> list[tuple[str, str, str]]:
    """Each entry's name, page and section as links name it."""
    explained = [
        (name, entry.chapter, entry.slug)
        for entry in glossary.read(app.env)
        for name in entry.names
    ]
    more = yaml.safe_load((Path(app.srcdir) / LIST).read_text(encoding="utf-8"))
    return explained + [
        (str(name), f"book/{page}", slug)
        for name, targets in more.items()
        for page, slug in (target.split("#") for target in targets)
    ]


def section(env: BuildEnvironment, page: str, slug: str) -> nodes.section | None:
    """The section that a place names; a warning, which ends the build, when there is none."""
    found = glossary.sections(env.get_doctree(page)) if page in env.found_docs else {}
    if slug not in found:
        logger.warning("index: no section %r in %s, only %s", slug, page, list(found))
    return found.get(slug)


def fill_index(app: Sphinx, env: BuildEnvironment) -> None:
    """Put the sections into the index, under the word that leads there."""
    index = env.domaindata["index"]["entries"]
    for name, page, slug in places(app):
        if target := section(env, page, slug):
            title = target.next_node(nodes.title).astext()
            # A semicolon parts a word from what is listed below it.
            value = f"{name}; {env.titles[page].astext()} › {title}"
            entry = ("single", value, target["ids"][0], "", None)
            if entry not in index.setdefault(page, []):
                index[page].append(entry)


def mark_sections(app: Sphinx, document: nodes.document, page: str) -> None:
    """Put the entries into the page too, where the search's index takes them from."""
    if app.builder.format != "html":
        return
    found = glossary.sections(document)
    for name, where, slug in places(app):
        if where == page and slug in found:
            entry = ("single", name, found[slug]["ids"][0], "main", None)
            found[slug].append(addnodes.index(entries=[entry]))


def list_index(app: Sphinx, document: nodes.document) -> None:
    """Name the index in the table of contents, whose file may name pages with a source alone."""
    toctrees = list(document.findall(addnodes.toctree))
    if toctrees and app.env.docname == app.config.root_doc:
        entries = toctrees[-1]["entries"]
        after = entries.index((None, glossary.PAGE)) + 1
        entries.insert(after, ("Index", "genindex"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what fills the index and what leads to it."""
    # before Sphinx copies the table of contents, at 500
    app.connect("doctree-read", list_index, priority=400)
    app.connect("env-updated", fill_index)
    app.connect("doctree-resolved", mark_sections)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
