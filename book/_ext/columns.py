"""Two listings beside each other, what differs between them marked: a cell tagged `source` and `columns`."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

# A token as Pygments writes it: in a span, or bare between two.
PIECE = re.compile(r'<span class="[^"]*">[^<]*</span>|[^<]+')
TAGS = re.compile(r"<[^>]+>")


def functions_of(text: str) -> list[str]:
    """The functions of a listing, each with the line that names its class."""
    return re.split(r"\n\n(?=# |@|def |class )", text.strip())


def marked(left: str, right: str) -> tuple[str, str]:
    """Two highlighted listings, the tokens that only one of them has in `<mark>`."""
    sides = [PIECE.findall(left), PIECE.findall(right)]
    words = [[bare(piece) for piece in side] for side in sides]
    kept = [[False] * len(side) for side in sides]
    for block in SequenceMatcher(None, *words, autojunk=False).get_matching_blocks():
        for which, start in enumerate((block.a, block.b)):
            kept[which][start : start + block.size] = [True] * block.size
    return rebuilt(left, iter(kept[0])), rebuilt(right, iter(kept[1]))


def bare(piece: str) -> str:
    """A token without its markup and the space around it, which is no difference."""
    return TAGS.sub("", piece).strip()


def rebuilt(listing: str, keep: Iterator[bool]) -> str:
    """The listing again, each token that is not kept and not mere space marked."""

    def one(found: re.Match) -> str:
        same = next(keep) or not bare(found[0])
        return found[0] if same else f"<mark>{found[0]}</mark>"

    return PIECE.sub(one, listing)
