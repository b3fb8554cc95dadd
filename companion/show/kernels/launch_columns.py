"""The launches of two forms side by side: which belong together, where they stand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

from companion.show.figures.svg import Number
from companion.show.kernels.launches import Launch

Form = Sequence[Launch]

WIDTH, INSET, BETWEEN = 358, 3, 8
LETTER, BESIDE = 7.2, 74  # px of a name's letter, of all else in a box
PRODUCTS = ("mm", "addmm")  # with weights; what attention multiplies is a bmm


def projects(launch: Launch) -> bool:
    """Whether it multiplies by weights."""
    return launch.name in PRODUCTS


def check_forms(found: Mapping[str, Form], parts: Mapping[str, int]) -> None:
    """Refuse what has no place in two columns."""
    if len(found) != 2:
        raise ValueError(f"one picture has two forms side by side, not {len(found)}")
    if min(parts.values(), default=0) < 1:
        raise ValueError(f"parts {dict(parts)}: each ends with a projection")
    wanted = sum(parts.values())
    for name, form in found.items():
        if (count := sum(map(projects, form))) != wanted:
            raise ValueError(
                f"{name} launches {count} projections, and the parts {dict(parts)} "
                f"have {wanted}: say how many are in each"
            )


def cut(form: Form, products: Sequence[int]) -> list[Form]:
    """The launches in parts with so many projections: each ends with its last one, the
    last part with all that follows.
    """
    places = [i + 1 for i, each in enumerate(form) if projects(each)]
    ends = [places[n - 1] for n in accumulate(products)][:-1]
    return [form[i:j] for i, j in pairwise([0, *ends, len(form)])]


def names(form: Form) -> list[tuple[str, bool]]:
    """What a launch is, without its bytes."""
    return [(each.name, each.triton) for each in form]


def blocks(left: Form, right: Form) -> Iterator[tuple[Form, Form]]:
    """Both from the top down: runs that they share, and between these what differs."""
    both = SequenceMatcher(None, names(left), names(right), autojunk=False)
    for _, i, j, k, n in both.get_opcodes():
        yield left[i:j], right[k:n]


@dataclass(frozen=True)
class Columns:
    """Where both columns begin, how wide they are, and the bytes of the longest bar."""

    lefts: tuple[Number, Number]
    widths: tuple[Number, Number]
    most: int

    def bar(self, moved: int) -> Number:
        """How long a bar is, in either column."""
        return (min(self.widths) - 8) * moved / self.most


def columns(forms: Sequence[Form]) -> Columns:
    """Columns as wide as their longest names want, one scale for the bars of both.

    Raises: ValueError for names that have no room beside each other.
    """
    longest = [max((each.name for each in form), key=len) for form in forms]
    need = [BESIDE + LETTER * len(name) for name in longest]
    spare = (WIDTH - 2 * INSET - BETWEEN - sum(need)) / 2
    if spare < 0:
        raise ValueError(f"{' and '.join(longest)}: too long to be side by side")
    first, second = (wide + spare for wide in need)
    most = max(each.bytes_moved for form in forms for each in form)
    return Columns((INSET, INSET + first + BETWEEN), (first, second), most)
