"""book/claims.yml: numbers of the text that no cell prints, each with what proves it.

A *published* one has a source, a *measured* one a raw file and where it stands in it, a
*counted* one an expression over the package and the configs. The last two are evaluated. An
*assumed* one is no claim: a number that the text chose, with the reason. A *printed* one stands in
an output of its page, only too far away.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from toc import ROOT

from claims.evidence import evidence, stems
from claims.expressions import document, evaluated
from claims.pages import read
from claims.quantities import Quantity, quantities

if TYPE_CHECKING:
    from claims.proofs import Claim

KINDS = {
    "printed": set(),
    "published": {"source"},
    "measured": {"file", "is"},
    "counted": {"is"},
    "assumed": {"why"},
}
COMMON = {"claim", "kind", "pages"}


@dataclass(frozen=True)
class Entry:
    """One entry: the number as a text would give it, and its noun, if it has one."""

    said: str
    kind: str
    pages: frozenset[str]
    number: Quantity
    nouns: frozenset[str]

    def proves(self, claim: "Claim") -> bool:
        if self.pages and claim.page not in self.pages:
            return False
        if self.nouns and not self.nouns & claim.nouns:
            return False
        return any(
            number.unit == self.number.unit and self.number.proves(number)
            for number in claim.readings
        )


@cache
def entries() -> list[Entry]:
    return [exact(given) for given in document()["claims"]]


def exact(given: Mapping[str, Any]) -> Entry:
    """An entry that is worth what its expression is, so that a text may give more digits."""
    found = entry(given)
    if "is" not in given or problem(given):
        return found
    value = abs(evaluated(given))
    return replace(found, number=replace(found.number, value=value))


def entry(given: Mapping[str, Any]) -> Entry:
    wanted = COMMON | KINDS.get(given.get("kind", ""), set())
    if set(given) | {"pages"} != wanted:
        raise ValueError(f"an entry has {sorted(given)}, not {sorted(wanted)}: {given}")
    [number] = quantities(str(given["claim"]))
    nouns = stems(str(given["claim"])[number.end :])
    pages = frozenset(given.get("pages", ()))
    return Entry(str(given["claim"]), given["kind"], pages, number, nouns)


def problems() -> list[str]:
    """Entries that are not what their proof says."""
    return [found for given in document()["claims"] if (found := problem(given))]


def problem(given: Mapping[str, Any]) -> str:
    said = entry(given).number
    if given["kind"] == "assumed":
        return ""
    if given["kind"] == "printed":
        return not_printed(given, said)
    if given["kind"] == "published":
        return unknown_source(given)
    if re.fullmatch(r"[\d.e+-]+", str(given["is"])):
        return f"{given['claim']!r}: {given['is']} says it again and proves nothing"
    try:
        found = evaluated(given)
    except Exception as error:
        return f"{given['claim']!r}: {given['is']} raises {error!r}"
    if abs(abs(found) - said.value) <= said.half * (1 + 1e-9):
        return ""
    factor = (said.value or 1) / float(re.sub(r"[^\d.]", "", said.text) or 1)
    return f"{given['claim']!r}: {given['is']} is {found / factor:.6g} of its unit"


def not_printed(given: Mapping[str, Any], said: Quantity) -> str:
    for page in given["pages"]:
        shown = evidence(read(ROOT / "book" / f"{page}.ipynb"))
        if not any(x.quantity.proves(said) for x in shown):
            return f"{given['claim']!r} is printed by no cell of {page}"
    return ""


def unknown_source(given: Mapping[str, Any]) -> str:
    """A source is a key of references.bib, or the name of a document with its year."""
    keys = re.findall(
        r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(), re.M
    )
    if given["source"] in keys or re.search(r"\b20\d\d\b", given["source"]):
        return ""
    return f"{given['claim']!r}: {given['source']!r} is not in references.bib"
