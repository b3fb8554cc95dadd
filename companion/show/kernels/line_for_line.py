"""A function and the kernel that is written after it, statement by statement."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import dedent

from companion.show.ledgers.statements import names_in, targets
from companion.show.source import function_of
from companion.show.tables import Code, StepTable


class PairTable(StepTable):
    """A table whose first cell holds a statement, or two, one below the other."""

    def __repr__(self) -> str:
        lines: list[tuple[object, object]] = []
        for pair, words in self.rows:
            first, *below = pair if isinstance(pair, tuple) else (pair,)
            lines += [(first, words), *((each, "") for each in below)]
        return repr(StepTable(self.head, lines))


def line_for_line(
    plan: Callable,
    kernel: Callable,
    inner: Callable,
    changes: Sequence[tuple[str, str]],
    without: Mapping[str, str] | None = None,
) -> PairTable:
    """Each statement of `plan`, below it that of the kernel which assigns the same name,
    and what has changed, from `changes`: (name, words) in the plan's order.

    `inner` is the function that `kernel` calls for its loop; its statements stand where
    it is called first. `without` gives the words for statements of the plan that have no
    counterpart. Left out are statements before the first name, and the kernel's own except
    in the loop.

    Raises: ValueError where a statement of the plan is not in `changes`, or the kernel
    has none of that name at that place.
    """
    first, without = changes[0][0], without or {}
    ours = from_name(first, body_of(plan))
    names = [name for name, _ in ours if name not in without]
    if names != [name for name, _ in changes]:
        raise ValueError(
            f"{plan.__name__} assigns {names}, and changes are given for "
            f"{[name for name, _ in changes]}"
        )
    words = (text for _, text in changes)
    theirs = iter(from_name(first, merged(kernel, inner)))
    rows: list[tuple[Code | tuple[Code, Code], str]] = []
    in_loop = False
    for name, source in ours:
        if name in without:
            rows.append((Code(source), without[name]))
            continue
        for other, code in theirs:
            if other == name:
                break
            if in_loop:
                rows.append((Code(code, depth=1), "only in the kernel"))
        else:
            raise ValueError(
                f"{name!r} of {plan.__name__} is not assigned at this place in the kernel"
            )
        in_loop = in_loop or source.startswith("for ")
        rows.append(((Code(source), Code(code, depth=1)), next(words)))
    head = f"{plan.__name__}, below it the kernel", "what changes"
    return PairTable(head, rows)


def body_of(function: Callable) -> list[ast.stmt]:
    """The statements of a function."""
    source = dedent(inspect.getsource(function_of(function)))
    return next(
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    )


def merged(kernel: Callable, inner: Callable) -> list[ast.stmt]:
    """The kernel's statements, with those of `inner` in place of the first call of it."""
    found: list[ast.stmt] = []
    name, inside = function_of(inner).__name__, body_of(inner)[:-1]
    for statement in body_of(kernel):
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and ast.unparse(value.func) == name:
            found, inside = found + inside, []
        else:
            found.append(statement)
    return found


def named(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """The name that each statement sets, and its source, also inside loops and branches:
    of a loop its head, of a result the first name in it.
    """
    for statement in body:
        source = " ".join(ast.unparse(statement).split())
        if isinstance(statement, ast.For):
            counter = ast.unparse(statement.target)
            yield counter, f"for {counter} in {ast.unparse(statement.iter)}:"
        if isinstance(statement, ast.For | ast.If):
            yield from named(statement.body)
        if isinstance(statement, ast.Return):
            yield re.findall(r"\w+", source)[1], source
        for target in targets(statement):
            yield ", ".join(names_in(target)), source


def from_name(first: str, body: Sequence[ast.stmt]) -> list[tuple[str, str]]:
    """The statements from the first of that name on."""
    found = list(named(body))
    return found[[name for name, _ in found].index(first) :]
