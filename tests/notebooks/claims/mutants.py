"""Wrong digits, planted: which of them the checks would let pass."""

from collections.abc import Iterator
from dataclasses import replace

from claims.check import numbers
from claims.entries import Entry
from claims.evidence import Shown
from claims.exempt import exempt
from claims.formulas import equalities
from claims.pages import Page
from claims.proofs import Claim, proof, proofs
from claims.quantities import quantities

STEPS = (1, 9)  # one more and one less


def mutants(claim: Claim) -> Iterator[str]:
    """The sentence, each time with another digit of the number changed."""
    number, text = claim.number, claim.sentence.text
    for place in range(number.start, number.start + len(number.text)):
        if text[place] in "·×eE":
            break  # what follows is a power of ten
        if text[place].isdigit():
            for step in STEPS:
                digit = (int(text[place]) + step) % 10
                yield f"{text[:place]}{digit}{text[place + 1 :]}"


def survivors(page: Page) -> tuple[int, list[str]]:
    """How many wrong digits were planted in a page's proven claims, and which were believed."""
    found, shown, given = numbers(page)
    how = proofs(found, shown, given)
    planted, alive = 0, []
    for claim, proved in zip(found, how, strict=True):
        if not proved or claim.number.spelled:
            continue
        known = {(other.number.value, other.number.unit)
                 for other, seen in zip(found, how, strict=True)
                 if other is not claim and seen not in {"", "repeated"}}  # fmt: skip
        for text in mutants(claim):
            planted += 1
            if is_believed(claim, text, shown, given, known):
                alive.append(f"{page.name}: {claim.said!r} in {text}")
    return planted, alive


def is_believed(
    claim: Claim, text: str, shown: list[Shown], given: list[Entry], known: set
) -> bool:
    """Whether a sentence with a wrong digit passes, all else as it is on its page."""
    number = next((x for x in quantities(text) if x.start == claim.number.start), None)
    if number is None or exempt(text, number):
        return True
    if not all(found.holds for found in equalities(text)):
        return False
    wrong = Claim(claim.page, replace(claim.sentence, text=text), number)
    return bool(proof(wrong, shown, given)) or (number.value, number.unit) in known
