"""Units of measure: what each is a multiple of. A noun that is counted (tokens, layers) is none."""

import re

PREFIXES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
BINARY = {"KB": 2**10, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SECONDS = {"s": 1, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
SPELLED = {
    "byte": ("bytes", 1),
    "kilobyte": ("bytes", 1e3),
    "megabyte": ("bytes", 1e6),
    "gigabyte": ("bytes", 1e9),
    "bit": ("bits", 1),
    "second": ("seconds", 1),
    "millisecond": ("seconds", 1e-3),
    "microsecond": ("seconds", 1e-6),
    "nanosecond": ("seconds", 1e-9),
    "minute": ("seconds", 60),
    "hour": ("seconds", 3600),
}
MAGNITUDES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
PER_SECOND = ("/s", " a second", " per second")
PER_BYTE = ("/byte", " per byte", " a byte", " for a byte", " for each byte")


def table() -> dict[str, tuple[str, float]]:
    """Every way to write a unit: its dimension, and its factor."""
    units = {name: ("bytes", factor) for name, factor in BINARY.items()}
    units |= {name: ("seconds", factor) for name, factor in SECONDS.items()}
    units |= {name + end: unit for name, unit in SPELLED.items() for end in ("", "s")}
    for prefix, factor in PREFIXES.items():
        units |= {f"{prefix}B{per}": ("bytes/s", factor) for per in PER_SECOND}
        units |= {f"{prefix}FLOP{end}": ("FLOPs", factor) for end in ("", "s")}
        units |= {
            f"{prefix}FLOP{end}{per}": ("FLOPs/s", factor)
            for end in ("", "s")
            for per in PER_SECOND
        }
        units[f"{prefix}B"] = ("bytes", factor)
    units |= {f"bytes{per}": ("bytes/s", 1) for per in PER_SECOND}
    units |= {
        f"{tokens}{per}": ("tokens/s", 1)
        for tokens in ("tokens", "tok")
        for per in PER_SECOND
    }
    units |= {f"FLOP{s}{per}": ("FLOPs/byte", 1) for s in ("", "s") for per in PER_BYTE}
    units |= dict.fromkeys(("times", "×", "-fold"), ("times", 1))
    return units | dict.fromkeys(("%", "percent", "per cent"), ("share", 0.01))


UNITS = table()
NAMES = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
# Behind a number: a space, none or a hyphen, and no more letters after it.
# Of "8B" the B is part of a model's name.
AFTER = re.compile(rf"(?!B)[\s\xa0-]?(?:significant )?({NAMES})(?![\w/]|\s?\d)")
MAGNITUDE = re.compile(rf"[\s-]({'|'.join(MAGNITUDES)})\b")
SCALED = re.compile(r"\s?([kMGT])(?![\w/])")
# In the head of a column: a unit by itself, and none of the words that are also nouns there.
HEAD = re.compile(rf"(?<![\w/])({NAMES})(?![\w/])")
# Before a list in a text: "tokens per second, float32: plain 21.3, compiled 42.3".
LISTED = re.compile(
    rf"(?<!\d)(?<!\d[\s\xa0])(?<!\w)({NAMES})(?!\w)[^;:\n\d]*\d*:[^;\n]*$"
)
