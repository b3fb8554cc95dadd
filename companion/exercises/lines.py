"""One statement of a function, by a line in it: so the gallery quotes code and never retypes
it.
"""

import ast
import inspect
from collections.abc import Callable
from textwrap import dedent
from typing import Any

MARK = "# wrong"


def statement(function: Callable[..., Any], holds: Callable[[str], bool]) -> str:
    """The smallest statement of a function around the one line that `holds`, on one line.

    Raises: ValueError when no line holds, or more than one statement has such a line.
    """
    source = dedent(inspect.getsource(inspect.unwrap(function)))
    lines = source.splitlines()
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.stmt)]
    found = {
        innermost(nodes, number)
        for number, line in enumerate(lines, 1)
        if holds(line) and line.strip()
    }
    if len(found) != 1:
        name = getattr(function, "__qualname__", function)
        raise ValueError(f"{len(found)} statements of {name} have such a line, not one")
    first, last = extent(found.pop())
    return on_one_line(lines[first - 1 : last])


def innermost(nodes: list[ast.stmt], number: int) -> ast.stmt:
    """The smallest statement that a line belongs to."""

    def size(node: ast.stmt) -> int:
        first, last = extent(node)
        return last - first if first <= number <= last else number

    return min(nodes, key=size)


def extent(node: ast.stmt) -> tuple[int, int]:
    """Its first and last line; of a statement with a body, those that open it."""
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if body else node.end_lineno
    return node.lineno, last or node.lineno


def on_one_line(lines: list[str]) -> str:
    """Code without its line breaks and its marks."""
    joined = " ".join(line.removesuffix(MARK).strip() for line in lines)
    for broken, whole in (
        ("( ", "("),
        ("[ ", "["),
        (", )", ")"),
        (" )", ")"),
        (" ]", "]"),
    ):
        joined = joined.replace(broken, whole)
    return joined


def is_marked(line: str) -> bool:
    """Whether a line says that it is the wrong one."""
    return line.rstrip().endswith(MARK)
