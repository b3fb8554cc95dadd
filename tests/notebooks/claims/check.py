"""All that a page claims and that is not so, in sentences for its author."""

import re
from collections.abc import Iterator

from claims.anchors import book, wrong_links
from claims.entries import Entry, entries
from claims.evidence import Shown, evidence
from claims.formulas import equalities, from_latex
from claims.names import unknown
from claims.pages import Page
from claims.proofs import Claim, claims, is_measured, proofs
from claims.sentences import sentences

ASKED = {"questions"}  # what others have asked; no claims of ours
GONE = "{!r} is used on no page that it is for: take it out of book/claims.yml"
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)


def numbers(page: Page) -> tuple[list[Claim], list[Shown], list[Entry]]:
    """A page's claims, what its cells print, and the entries that may be used on it."""
    found = [claim for said in sentences(page) for claim in claims(page.name, said)]
    found = [] if page.name in ASKED else found
    return found, evidence(page), entries()


def unproven_numbers(page: Page) -> Iterator[str]:
    found, shown, given = numbers(page)
    for claim, how in zip(found, proofs(found, shown, given), strict=True):
        if not how:
            said = f"{claim.said!r} {hint(claim, shown)}: {claim.sentence.readable}"
            yield f"{place(page, claim.sentence.cell)} {said}"


def hint(claim: Claim, shown: list[Shown]) -> str:
    """What was looked for, and what there is that is nearest."""
    number = claim.number
    wanted = (
        "was not measured" if is_measured(claim.sentence.text) else "was not printed"
    )
    alike = [x for x in shown if x.quantity.unit == number.unit and x.quantity.value]
    if not alike:
        return f"{wanted}, nor is it in book/claims.yml"
    near = min(alike, key=lambda x: abs(x.quantity.value - number.value))
    away = "" if number.proves(near.quantity) else ", nearest is"
    text = f"{near.quantity.text} of cell {near.cell}"
    return (
        f"{wanted}, nor is it in book/claims.yml{away or '; far away there is'} {text}"
    )


def wrong_equalities(page: Page) -> Iterator[str]:
    for said in sentences(page):
        for found in equalities(said.text):
            if not found.holds:
                yield f"{place(page, said.cell)} {found}: {said.readable}"
    for passage in page.passages:
        for formula in FORMULA.findall(passage.text):
            for found in equalities(from_latex(formula)):
                if not found.holds:
                    yield f"{place(page, passage.cell)} {found}: {formula}"


def unknown_names(page: Page) -> Iterator[str]:
    for cell, code, name in unknown(page):
        yield f"{place(page, cell)} there is no {name!r}: `{code}`"


def wrong_references(page: Page) -> Iterator[str]:
    for problem in wrong_links(page, book()):
        yield f"{page.name}: {problem}"


def place(page: Page, cell: int) -> str:
    return f"{page.name}, cell {cell}:" if page.code else f"{page.name}:"


CHECKS = (unproven_numbers, wrong_equalities, unknown_names, wrong_references)


def problems(page: Page) -> list[str]:
    return [problem for check in CHECKS for problem in check(page)]


def unused() -> list[str]:
    """Entries that prove no number of the book."""
    found = [claim for page in book().values() for claim in numbers(page)[0]]
    return [
        GONE.format(entry.said)
        for entry in entries()
        if not any(entry.proves(claim) for claim in found)
    ]
