"""Equalities between numbers that a text states, computed.

Both sides have to be arithmetic alone; one with a letter in it (2 · n = 6) is left alone. A number
with decimals may have been rounded, so a side is as exact as its numbers let it be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from claims.quantities import DIGITS, SUPERSCRIPTS, Quantity, quantities
from claims.units import NAMES

PLAIN = rf"{DIGITS}(?:e-?\d+)?"
UNIT = rf"(?:\s?(?:{NAMES})\b|\s(?:million|billion)\b|\s[kMGT]\b)"
NOUN = r"(?:\s[a-z]{3,}){1,2}(?=\s?[·×+=≈])"
CALL = r"(?:exp|ln|log2|log|sqrt|max|min)?"
INNER = r"(?:[^()\[\]⌊⌋⌈⌉A-Za-z=≈]|\([^()A-Za-z]*\)|\[[^\[\]A-Za-z]*\])"
ATOM = (
    rf"(?:√?(?:{CALL}\({INNER}*?\)|[⌊⌈]{INNER}*?[⌋⌉]|\[{INNER}*?\]|{PLAIN}(?:{UNIT}|{NOUN})?|[eπ](?![A-Za-z0-9_]))"
    r"(?:[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+|\^\(?-?[\d.]+\)?)?)"
)
SIDE = rf"[-−]?{ATOM}(?:\s?[-·×/+−]\s?{ATOM})*"
EQUALITY = re.compile(rf"(?<![\w.,)\]^√]){SIDE}(?:\s?[=≈]\s?{SIDE})+")
OPEN_BEFORE = re.compile(r"(?:[-·×/+−^<>≤≥]\s?|[\w)\]]\s?[-−])$")
OPEN_AFTER = re.compile(r"\s?[·×/+−^<>≤≥(\[]\s?|[\w√\ufff0\ufff1]|\s-\s")
FUNCTIONS = {
    "exp": np.exp, "ln": np.log, "log": np.log, "log2": np.log2, "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil, "max": max, "min": min, "e": np.e, "π": np.pi, "inf": np.inf,
    "a": np.array,
}  # fmt: skip
LATEX = [
    (r"\\(?:cdot|times)", "·"),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\\t?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)"),
    (r"\^\{([^{}]*)\}", r"^(\1)"),
    (r"\\approx", "≈"),
    (r"\{,\}", ","),
    (r"\\[,;! ]|\\(?:left|right)|\\text\{[^{}]*\}", " "),
]


@dataclass(frozen=True)
class Equality:
    """Two sides that a text sets equal, each as it is written and as it is worth."""

    left: str
    right: str
    values: tuple[float, float]
    holds: bool
    start: int  # of the right side
    simple: bool  # the right side is a number, nothing is computed in it

    def __str__(self) -> str:
        return f"{self.left} is {self.values[0]:.6g}, not {self.right}"


def equalities(text: str) -> Iterator[Equality]:
    for match in EQUALITY.finditer(text):
        if OPEN_BEFORE.search(text[: match.start()]):
            continue
        sides = [*re.finditer(r"[^=≈\s][^=≈]*", match[0])]
        if OPEN_AFTER.match(text, match.end()):
            sides.pop()
        for left, right in pairwise(sides):
            start = match.start() + right.start()
            sign = text[:start].rstrip()[-1]
            yield equality(left[0].strip(), right[0].strip(), sign, start)


def equality(left: str, right: str, sign: str, start: int) -> Equality:
    """The right side may be rounded to any digits, behind ≈ also to tens and hundreds."""
    (a, error_a), (b, error_b) = worth(left, sign), worth(right, sign)
    allowed = error_a + error_b + 1e-9 * (np.abs(a) + np.abs(b))
    holds = bool(np.all(np.abs(np.subtract(a, b)) <= allowed)) or bool(np.all(a == b))
    values = float(np.max(a)), float(np.max(b))
    return Equality(left, right, values, holds, start, bool(single(right, sign)))


def single(side: str, sign: str) -> Quantity | None:
    found = quantities(f"{sign} {side}" if sign == "≈" else side)
    rest = re.sub(rf"{PLAIN}|{UNIT}|(?:\s[a-z]+)+$|[\s·]*10[⁻⁰-⁹]+", "", side).strip()
    return found[0] if len(found) == 1 and not rest else None


def worth(side: str, sign: str) -> tuple[np.ndarray, float | np.ndarray]:
    """The value of a side, and how far off it may be by the rounding of its numbers."""
    if number := single(side, sign):
        return np.array(number.value), number.half
    found = quantities(side)
    code, end = "", 0
    for i, number in enumerate(found):
        code += side[end : number.start] + f"N{i}"
        end = number.end
    code = python(code + side[end:])
    values = {f"N{i}": number.value for i, number in enumerate(found)}
    exact = evaluate(code, values)
    error = 0.0
    for i, number in enumerate(found):
        if "." in number.text:
            moved = {**values, f"N{i}": number.value + number.half}
            error = error + np.abs(evaluate(code, moved) - exact)
    return exact, error


def evaluate(code: str, values: dict[str, float]) -> np.ndarray:
    return np.asarray(eval(code, {"__builtins__": {}}, {**FUNCTIONS, **values}), float)


def python(side: str) -> str:
    """Arithmetic as it is written in a text, in Python's signs."""
    side = re.sub(
        r"([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "**" + m[0].translate(SUPERSCRIPTS), side
    )
    side = re.sub(r"√(\([^()]*\)|[\w.]+)", r"sqrt(\1)", side)
    side = re.sub(r"(N\d+)(?:\s[a-z]+)+", r"\1", side)  # ten tokens are ten
    side = re.sub(r"\[([^\[\]]*)\]", r"a([\1])", side)
    side = re.sub(r"⌊([^⌋]*)⌋", r"floor(\1)", re.sub(r"⌈([^⌉]*)⌉", r"ceil(\1)", side))
    for written, meant in (
        ("·", "*"),
        ("×", "*"),
        ("−", "-"),
        ("^", "**"),
        ("∞", "inf"),
    ):
        side = side.replace(written, meant)
    return side.strip()


def from_latex(formula: str) -> str:
    """A formula of TeX that is arithmetic alone, as a text would have it."""
    for pattern, instead in LATEX:
        formula = re.sub(pattern, instead, formula)
    return " ".join(formula.strip("$ ").split())
