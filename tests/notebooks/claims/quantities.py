"""Numbers in a text, with their units and with how exactly they are given."""

import math
import re
from dataclasses import dataclass, replace

from claims.units import AFTER, MAGNITUDE, MAGNITUDES, PREFIXES, SCALED, UNITS
from claims.words import FRACTION, LARGE, PARTS, SPELLED, WORDS

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
POWER = r"10([⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
# Neither part of a name (float32, H100, GPT-2, 0x1f) nor the lower part of a fraction.
NUMBER = re.compile(
    rf"(?<![\w.]){POWER}"
    rf"|(?<![\w.,/^])(?<![A-Za-z_\])][-−]){DIGITS}(?:[eE]([-+]?\d+)|\s?[·×]\s?{POWER})?"
)
ABOUT = re.compile(
    r"\b(?:about|almost|around|nearly|roughly|some|over|than)\s$|[~≈]\s?$"
)
SLIP = re.compile(r"0\d")  # nothing is equal to such a number
RANGE = re.compile(r"\s?(?:to|or|and|[-–])\s?")


@dataclass(frozen=True)
class Quantity:
    """A number as written: its value in the base unit, and half a unit of its last digit.

    Zeros at the end count as digits, but for a number that is said to be about right: of
    that the first two count, and all up to the last that is not 0.
    """

    text: str
    start: int
    end: int
    value: float
    half: float
    digits: int
    unit: str = ""
    spelled: bool = False

    @property
    def is_integer(self) -> bool:
        return self.spelled or re.fullmatch(r"[\d,]+", self.text) is not None

    @property
    def is_rough(self) -> bool:
        return self.spelled and self.half < 0.1

    def proves(self, other: "Quantity") -> bool:
        """This value, rounded as the other is, is the other; a nought has to be written so."""
        if not other.value:
            return self.text == other.text
        return abs(abs(self.value) - other.value) <= other.half * (1 + 1e-9)


def quantities(text: str) -> list[Quantity]:
    found = [read(text, match) for match in NUMBER.finditer(text)]
    found += [spelled(text, match) for match in SPELLED.finditer(text)]
    found += [fraction(match) for match in FRACTION.finditer(text)]
    found = sorted((x for x in found if x), key=lambda x: x.start)
    for place in range(len(found) - 1, 0, -1):
        before, after = found[place - 1 : place + 1]
        between = text[before.end : after.start]
        if RANGE.fullmatch(between) and not before.unit:
            found[place - 1] = in_unit_of(before, after, text)
        if between == " to " and are_parts(before, after):
            found[place - 1 : place + 1] = in_percent(before), in_percent(after)
    return found


def are_parts(one: Quantity, other: Quantity) -> bool:
    """Two of two digits that make up a hundred, without a unit."""
    alike = one.digits == other.digits and not one.unit and not other.unit
    return alike and one.value + other.value == 100


def in_percent(number: Quantity) -> Quantity:
    """One of two parts of a hundred: 54 to 46."""
    return replace(
        number, value=number.value / 100, half=number.half / 100, unit="share"
    )


def in_unit_of(number: Quantity, other: Quantity, text: str) -> Quantity:
    """The first number of a range, whose unit stands behind the last."""
    factor, unit, _ = scale(text, other.start + len(other.text))
    if not unit:
        return number
    return replace(
        number, value=number.value * factor, half=number.half * factor, unit=unit
    )


def read(text: str, match: re.Match) -> Quantity | None:
    exponent = next((group for group in match.groups() if group), "0")
    digits = "1" if match[1] else re.match(DIGITS, match[0])[0].replace(",", "")
    factor, unit, end = scale(text, match.end())
    if end == match.end() and re.match(r"[A-Za-z_]", text[end:]):
        return None  # a name that begins with a digit
    significant = len(digits.replace(".", "").lstrip("0")) or 1
    half = 0.5 * last_digit(digits, text[: match.start()])
    if text[match.end() : end] == "k" and "." not in digits:
        factor, half = (
            1012,
            12 / 1012 * float(digits),
        )  # 16k is 16 · 1,000 or 16 · 1,024
    factor *= 10.0 ** int(exponent.translate(SUPERSCRIPTS))
    value = math.nan if SLIP.match(digits) else float(digits) * factor
    place = match.start(), end
    return Quantity(match[0], *place, value, half * factor, significant, unit)


def last_digit(digits: str, before: str) -> float:
    """What the last digit that counts is worth."""
    if "." not in digits and ABOUT.search(before):
        counted = max(2, len(digits.rstrip("0")))
        return 10.0 ** max(0, len(digits) - counted)
    return 10.0 ** -len(digits.partition(".")[2])


def scale(text: str, end: int) -> tuple[float, str, int]:
    """The factor and the dimension of what follows a number, and where that ends."""
    factor = 1.0
    if word := MAGNITUDE.match(text, end):
        factor, end = MAGNITUDES[word[1]], word.end()
    elif letter := SCALED.match(text, end):
        factor, end = PREFIXES[letter[1]], letter.end()
    if found := AFTER.match(text, end):
        dimension, unit = UNITS[found[1]]
        return factor * unit, dimension, found.end()
    return factor, "", end


def spelled(text: str, match: re.Match) -> Quantity:
    number = (WORDS | LARGE)[match[0].lower()]
    factor, unit, end = scale(text, match.end())
    return Quantity(
        match[0],
        match.start(),
        end,
        number * factor,
        factor / 2,
        len(str(number)),
        unit,
        spelled=True,
    )


def fraction(match: re.Match) -> Quantity:
    """Three quarters: so much, give or take a twentieth of it, or two hundredths at least."""
    value = WORDS.get(match[1].lower(), 1) / PARTS[match[2].lower()]
    about = max(0.02, value / 20)
    return Quantity(match[0], *match.span(), value, about, 2, "share", spelled=True)
