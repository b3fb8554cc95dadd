"""What calls say that go wrong, one below the other: PyTorch's words and ours."""

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from companion.show.tables import Code, StepTable


def messages(*calls: Callable[[], Any]) -> StepTable:
    """Run calls, each written as a lambda: its code, and the error that it raises or, where
    it raises none, what it returns.
    """
    rows = [(Code(written(call)), said(call)) for call in calls]
    refused = sum(not words.startswith("no error") for _, words in rows)
    found = (
        f"{len(rows)} calls: {refused} refused, {len(rows) - refused} without an error"
    )
    return StepTable(("call", "what it says"), rows, found)


def said(call: Callable[[], Any]) -> str:
    """The error of a call by its kind and message, or what it returns, a tensor by its shape."""
    try:
        returned = call()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(returned, Tensor) and returned.numel() > 1:
        return f"no error: Tensor of shape {tuple(returned.shape)}"
    return f"no error: {returned!r}"


def written(call: Callable[[], Any]) -> str:
    """The expression of a lambda, as it stands in the cell or file."""
    lines, _ = inspect.findsource(call)
    places = {(line, column) for line, _, column, _ in call.__code__.co_positions()}
    return next(
        ast.unparse(body) for body in lambdas(lines) if place_of(body) in places
    )


def lambdas(lines: list[str]) -> Iterator[ast.expr]:
    """What the lambdas of these lines compute, the innermost first."""
    found = [
        n.body for n in ast.walk(ast.parse("".join(lines))) if isinstance(n, ast.Lambda)
    ]
    return reversed(found)


def place_of(node: ast.expr) -> tuple[int, int]:
    """The line and column where an expression begins."""
    return node.lineno, node.col_offset
