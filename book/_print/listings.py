"""Code that wraps: each line an element of its own, so that what is carried over can be marked."""

import copy

from bs4 import BeautifulSoup, NavigableString, Tag

SHORT = 12  # lines: a listing that is not longer stays on one page


def split_lines(listing: Tag) -> None:
    """Put each line of a `pre` into a `span.line`; what is highlighted across lines is so in each."""
    lines: list[list[tuple[list[Tag], str]]] = [[]]
    for around, text in pieces(listing, []):
        for count, part in enumerate(text.split("\n")):
            if count:
                lines.append([])
            if part:
                lines[-1].append((around, part))
    while lines and not lines[-1]:
        lines.pop()
    listing.clear()
    listing.extend(whole_line(line) for line in lines)
    listing["class"] = [*listing.get("class", []), "lines"]
    if len(lines) <= SHORT:
        listing["class"].append("short")


def pieces(node: Tag, around: list[Tag]):
    """Each text in a node, with the elements around it, outermost first."""
    for child in node.children:
        if isinstance(child, Tag):
            yield from pieces(child, [*around, child])
        elif type(child) is NavigableString:
            yield around, str(child)


def whole_line(line: list[tuple[list[Tag], str]]) -> Tag:
    """A line, each of its texts in elements like those it was in."""
    new = BeautifulSoup("", "html.parser").new_tag
    whole = new("span", attrs={"class": "line"})
    for around, text in line:
        place = whole
        for tag in around:
            shell = new(tag.name, attrs=copy.copy(tag.attrs))
            place.append(shell)
            place = shell
        place.append(NavigableString(text))
    whole.append(NavigableString("\n"))
    return whole
