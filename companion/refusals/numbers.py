"""Which values count as numbers: numpy's do; a bool, although Python says so, does not."""

from numbers import Integral, Rational, Real


def is_integer(value: object) -> bool:
    """Whether a value is an int, of numpy too, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, of numpy too, and not a bool."""
    is_float = isinstance(value, Real) and not isinstance(value, Rational)
    return is_float or is_integer(value)
