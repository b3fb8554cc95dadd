"""The bibliography as chapters cite it: "Vaswani et al. 2017", in that order.

Titles are as their authors wrote them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as UnsortedStyle
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from pybtex.style.template import Node, field, sentence
from sphinx.application import Sphinx

NAME = "as_cited"


def names(entry: Entry) -> str:
    """The first author, and whether there are others."""
    first, *others = [
        " ".join(map(str, [*author.rich_prelast_names, *author.rich_last_names]))
        for author in entry.persons["author"]
    ]
    match others:
        case []:
            return first
        case [second] if second != "others":
            return f"{first} and {second}"
    return f"{first} et al."


class Labels(BaseLabelStyle):
    """Author and year, with a letter where that names several."""

    def format_labels(self, entries: Iterable[Entry]) -> Iterator[str]:
        """The label of each entry."""
        labels = [f"{names(entry)} {entry.fields['year']}" for entry in entries]
        total, seen = Counter(labels), Counter()
        for label in labels:
            seen[label] += 1
            letter = chr(ord("a") + seen[label] - 1) if total[label] > 1 else ""
            yield label + letter


class Order(BaseSortingStyle):
    """The order of the labels."""

    def sorting_key(self, entry: Entry) -> tuple[str, str, str]:
        """By label, and then by title."""
        return names(entry).casefold(), entry.fields["year"], entry.fields["title"]


class Style(UnsortedStyle):
    """Sphinx's usual style with those labels, and titles that keep their capitals."""

    default_label_style = Labels
    default_sorting_style = Order

    def format_title(self, entry: Entry, which: str, as_sentence: bool = True) -> Node:
        """The title as it is."""
        title = field(which)
        return sentence[title] if as_sentence else title


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the style."""
    register_plugin("pybtex.style.formatting", NAME, Style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
