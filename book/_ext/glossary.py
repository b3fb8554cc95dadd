"""The glossary, read from its page: what a word is called there, what it means, and which
section of which chapter explains it.
"""

from dataclasses import dataclass

from docutils import nodes
from sphinx.addnodes import glossary, index, pending_xref
from sphinx.environment import BuildEnvironment

PAGE = "book/glossary"


@dataclass(frozen=True)
class Entry:
    """One meaning, with all names it goes by; the link in it leads to where it is explained."""

    names: tuple[str, ...]
    anchor: str
    meaning: str
    chapter: str
    slug: str


def read(env: BuildEnvironment) -> list[Entry]:
    """All entries, in the order of the page. Raises ValueError for one without a link."""
    if PAGE not in env.found_docs:
        return []
    [page] = env.get_doctree(PAGE).findall(glossary)
    return [entry(item) for item in page.findall(nodes.definition_list_item)]


def entry(item: nodes.definition_list_item) -> Entry:
    """What one item of the list says."""
    terms = list(item.findall(nodes.term))
    names = tuple(name(term) for term in terms)
    [*_, text] = item.findall(nodes.paragraph)
    links = [link for link in text.findall(pending_xref) if link["reftargetid"]]
    if not links:
        raise ValueError(f"glossary: no link to a section explains {names[0]!r}")
    target = links[-1]
    before = text.astext().removesuffix(f"In {target.astext()}.")
    return Entry(
        names,
        terms[0]["ids"][0],
        " ".join(before.split()),
        target["reftarget"],
        target["reftargetid"],
    )


def name(term: nodes.term) -> str:
    """A term's words, without the index entries that Sphinx keeps in it."""
    return "".join(
        child.astext() for child in term.children if not isinstance(child, index)
    )


def sections(document: nodes.document) -> dict[str, nodes.section]:
    """The sections of a page by the names that links use."""
    return {
        section["slug"]: section
        for section in document.findall(nodes.section)
        if "slug" in section
    }
