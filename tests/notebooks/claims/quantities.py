"""Numbers in a text, with their units and with how exactly they are given."""

import re
from dataclasses import dataclass

from claims.units import AFTER, MAGNITUDE, MAGNITUDES, PREFIXES, SCALED, UNITS

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
WORDS = "two three four five six seven eight nine ten eleven twelve".split()
SPELLED = re.compile(
    rf"\b({'|'.join(WORDS)})(?= (?:bytes|bits|(?:milli|micro)?seconds|percent"
    r"|times (?:as (?:fast|slow)|(?:fast|slow)er)\b)\b)",
    re.IGNORECASE,
)


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
        return re.fullmatch(r"[\d,]+", self.text) is not None

    def proves(self, other: "Quantity") -> bool:
        """This value, rounded as the other is, is the other."""
        return abs(abs(self.value) - other.value) <= other.half * (1 + 1e-9)


def quantities(text: str) -> list[Quantity]:
    found = [read(text, match) for match in NUMBER.finditer(text)]
    found += [spelled(text, match) for match in SPELLED.finditer(text)]
    return sorted((x for x in found if x), key=lambda x: x.start)


def read(text: str, match: re.Match) -> Quantity | None:
    exponent = next((group for group in match.groups() if group), "0")
    exponent = int(exponent.translate(SUPERSCRIPTS))
    digits = re.match(DIGITS, match[0])[0].replace(",", "")
    if match[1]:
        digits = "1"
    factor, unit, end = scale(text, match.end())
    if end == match.end() and re.match(r"[A-Za-z_]", text[end:]):
        return None  # a name that begins with a digit
    decimals = len(digits.partition(".")[2])
    significant = digits.replace(".", "").lstrip("0")
    if not decimals and ABOUT.search(text[: match.start()]):
        decimals = max(2, len(significant.rstrip("0"))) - len(significant)
    size = factor * 10.0**exponent
    return Quantity(
        match[0],
        match.start(),
        end,
        float(digits) * size,
        0.5 * 10.0**-decimals * size,
        max(1, len(significant)),
        unit,
    )


def scale(text: str, end: int) -> tuple[float, str, int]:
    """The factor and the dimension of what follows a number, and where that ends."""
    factor = 1.0
    if word := MAGNITUDE.match(text, end):
        factor, end = MAGNITUDES[word[1]], word.end()
    if found := AFTER.match(text, end):
        dimension, unit = UNITS[found[1]]
        return factor * unit, dimension, found.end()
    if letter := SCALED.match(text, end):
        return PREFIXES[letter[1]], "", letter.end()
    return factor, "", end


def spelled(text: str, match: re.Match) -> Quantity:
    number = WORDS.index(match[0].lower()) + 2
    factor, unit, end = scale(text, match.end())
    return Quantity(
        match[0],
        match.start(),
        end,
        number * factor,
        factor / 2,
        1,
        unit,
        spelled=True,
    )
