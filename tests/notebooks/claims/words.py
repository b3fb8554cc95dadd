"""Numbers in words."""

import re

WORDS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
}
LARGE = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30,
    "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
# Small ones are read where they measure something, and none that says how large about (ten thousand).
SIZE = "(?:hundred|thousand|million)"
MEASURED = "(?:bytes|bits|percent|(?:milli|micro)?seconds|times (?:as (?:fast|slow)|(?:fast|slow)er))"
SPELLED = re.compile(
    rf"\b(?:({'|'.join(LARGE)})(?![\w-]| {SIZE})|({'|'.join(WORDS)})(?= {MEASURED}\b))",
    re.IGNORECASE,
)

PARTS = {"third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100}
FRACTION = re.compile(
    rf"\b(a|one|two|three|four|nine) ({'|'.join(PARTS)})s?\b"
    r"(?= (?:of|to|less|more|faster|slower)\b|[.,]|$)",
    re.IGNORECASE,
)
