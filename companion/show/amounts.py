"""Numbers that are read at a glance: three digits and a prefix."""

PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def amount(number: int, unit: str = "") -> str:
    """A count, exact below 10,000, else three digits with a prefix: kB is 1000 bytes."""
    if number < 10_000:
        return f"{number:,} {unit}".rstrip()
    digits, exponent = f"{number:.2e}".split("e")
    power, over = divmod(int(exponent), 3)
    return f"{float(digits) * 10**over:.{2 - over}f} {PREFIXES[power]}{unit}"


def ratio(number: float) -> str:
    """A quotient in about three digits, and nothing for none."""
    if not number:
        return ""
    decimals = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{decimals}f}"
