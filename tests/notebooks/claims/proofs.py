"""Whether a number of a text was printed, or follows from an entry of book/claims.yml.

A printed number proves one of the text if it is equal to it after rounding to the digits that
the text gives, in the text's unit. The fewer digits there are, the likelier is an equal number
that means something else. So three digits may stand anywhere in the chapter's outputs, two
in the outputs of the same section, with their unit, or at most two cells away, or anywhere with
their noun. A single digit needs its unit, but for one behind a point.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from claims.entries import KINDS, Entry
from claims.evidence import Shown, stems
from claims.exempt import exempt
from claims.formulas import equalities
from claims.quantities import Quantity, in_unit_of, quantities
from claims.sentences import Sentence

NOUN = 3  # words behind a number among which its noun is
NEAR = 2  # cells
# What follows a number whose unit was said with another: 72 MiB in place of 18,504 at ...
ELIDED = re.compile(
    r"\s*(?:$|[,.;:)]|(?:after|and|at|by|for|from|if|in|of|on|or|to|when|with)\b)"
)
MEASURED = re.compile(r"\bmeasured?\b", re.IGNORECASE)
NOT = re.compile(r"\b(?:not|none|nothing|never)\b[^.]*\bmeasured?\b", re.IGNORECASE)
TAKEN = {"seconds", "bytes", "bytes/s", "FLOPs/s", "tokens/s", "times", "share"}
RATIOS = {"", "times", "share"}  # what a bare printed ratio may prove


@dataclass(frozen=True)
class Claim:
    """A number of a sentence that has to be proven."""

    page: str
    sentence: Sentence
    number: Quantity

    @property
    def readings(self) -> list[Quantity]:
        """The number; and in the unit of the one before it, where its own was left out."""
        text, number = self.sentence.text, self.number
        before = [x for x in quantities(text[: number.start]) if x.unit]
        if number.unit or not before or not ELIDED.match(text, number.end):
            return [number]
        return [number, in_unit_of(number, before[-1], text)]

    @property
    def nouns(self) -> frozenset[str]:
        after = re.split(r"[,;:()|]", self.sentence.text[self.number.end :])[0]
        return stems(" ".join(after.split()[:NOUN]))

    @property
    def said(self) -> str:
        return self.sentence.text[self.number.start : self.number.end]


def claims(page: str, sentence: Sentence) -> Iterator[Claim]:
    for number in quantities(sentence.text):
        if not exempt(sentence.text, number):
            yield Claim(page, sentence, number)


def is_printed(claim: Claim, shown: list[Shown]) -> bool:
    return any(
        x.quantity.proves(number) and reaches(x, number, claim)
        for number in claim.readings
        for x in shown
    )


def reaches(shown: Shown, ours: Quantity, claim: Claim) -> bool:
    """Whether an equal number may prove the claim: the fewer its digits, the nearer it has to be."""
    theirs = shown.quantity
    if ours.unit and ours.unit == theirs.unit and not ours.is_rough:
        return ours.digits > 2 or shown.section == claim.sentence.section
    if theirs.unit and not {ours.unit, theirs.unit} <= RATIOS:
        return False
    if ours.digits >= 3:
        return True
    if claim.nouns & shown.labels and not ours.unit:
        return True
    if ours.unit not in RATIOS:
        return False
    few = ours.digits == 2 or (ours.digits == 1 and not ours.is_integer)
    return few and is_near(shown, claim.sentence)


def is_near(shown: Shown, sentence: Sentence) -> bool:
    """In the section of the sentence, and at most NEAR cells away."""
    same = shown.section == sentence.section
    return same and abs(shown.cell - sentence.cell) <= NEAR


def is_measured(*sentences: str) -> bool:
    """Whether one of them says so, and does not say that nothing was."""
    return any(MEASURED.search(x) and not NOT.search(x) for x in sentences)


def accepted(claim: Claim) -> set[str]:
    """The kinds of entries that may prove it: where something was measured, nothing else will do."""
    if claim.number.unit not in TAKEN:
        return set(KINDS)
    if is_measured(claim.sentence.text):
        return {"measured", "printed"}
    if is_measured(*claim.sentence.paragraph):
        return {"measured", "printed", "published"}
    return set(KINDS)


def proof(claim: Claim, shown: list[Shown], entries: list[Entry]) -> str:
    """How a claim is proven; empty where it is not. What was measured was not counted."""
    if is_printed(claim, shown):
        return "printed"
    if claim.number.start in results(claim.sentence.text):
        return "computed"
    kinds = {entry.kind for entry in entries if entry.proves(claim)} & accepted(claim)
    return min(kinds, default="")


def results(text: str) -> set[int]:
    """Where the results of right equalities begin."""
    return {found.start for found in equalities(text) if found.holds and found.simple}


def proofs(found: list[Claim], shown: list[Shown], entries: list[Entry]) -> list[str]:
    """How each claim of a page is proven. What was proven once may be said again."""
    how = [proof(claim, shown, entries) for claim in found]
    known = {(claim.number.value, claim.number.unit)
             for claim, proved in zip(found, how, strict=True) if proved}  # fmt: skip
    return [proved or ("repeated" if (claim.number.value, claim.number.unit) in known else "")
            for claim, proved in zip(found, how, strict=True)]  # fmt: skip
