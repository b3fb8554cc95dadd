"""What a chapter's cells print, as numbers that can prove a number of its text."""

import re
from dataclasses import dataclass, replace

from claims.outputs import Printed
from claims.pages import Page
from claims.quantities import Quantity, quantities
from claims.units import HEAD, LISTED, UNITS

LABEL = re.compile(r"[A-Za-z_]{3,}")


@dataclass(frozen=True)
class Shown:
    """A printed number, where it stands, and the words that name it."""

    quantity: Quantity
    cell: int
    section: int
    labels: frozenset[str] = frozenset()


def evidence(page: Page) -> list[Shown]:
    return [number for printed in page.printed for number in numbers(printed)]


def numbers(printed: Printed) -> list[Shown]:
    """The numbers of an output; one without a unit has that in the head of its column."""
    unit = HEAD.findall(printed.head)[-1:]
    found = []
    for number in quantities(printed.text):
        if not number.unit and (
            named := unit or LISTED.findall(printed.text[: number.start])
        ):
            number = in_unit(number, named[0])
        after = printed.text[number.end : number.end + 20]
        labels = stems(printed.head) | stems(after.split("\n")[0])
        found.append(Shown(number, printed.cell, printed.section, labels))
    return found


def in_unit(number: Quantity, name: str) -> Quantity:
    unit, factor = UNITS[name]
    return replace(
        number, value=number.value * factor, half=number.half * factor, unit=unit
    )


def stems(text: str) -> frozenset[str]:
    """The words of a text, each without the ending of its plural."""
    return frozenset(word.lower().removesuffix("s") for word in LABEL.findall(text))
