"""The statements of running code: which one a line belongs to, and what it made."""

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

PASSED_OVER = {"show", "refusals"}  # rooms of the package
Made = list[tuple[str, Tensor]]


def made(statement: ast.stmt | None, frame: FrameType, returned: Any) -> Made:
    """The tensors that a statement assigned or returned, with their names."""
    if isinstance(statement, ast.Return):
        values = returned if isinstance(returned, tuple) else (returned,)
        return [("", value) for value in values if isinstance(value, Tensor)]
    with _disable_current_modes():  # what is looked at here is not part of the call
        found = [
            (name, value_of(name, frame))
            for target in targets(statement)
            for name in names_in(target)
        ]
    return [each for name, value in found for each in listed(name, value)]


def targets(statement: ast.stmt | None) -> list[ast.expr]:
    """What a statement assigns to, or changes by a method that ends in _."""
    match statement:
        case ast.Assign(targets=assigned):
            return assigned
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return [target]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=changed, attr=name))):
            return [changed] if name.endswith("_") else []
    return []


def names_in(target: ast.expr) -> Iterator[str]:
    """The variables, parts of a tensor or attributes that an assignment sets."""
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from names_in(each)
    elif isinstance(target, ast.Starred):
        yield from names_in(target.value)
    else:
        yield ast.unparse(target)


def value_of(name: str, frame: FrameType) -> Any:
    """What a variable holds now, or the part of a tensor that has been written to."""
    if name.isidentifier():
        return frame.f_locals.get(name)
    return eval(name, frame.f_globals, frame.f_locals)


def listed(name: str, value: Any) -> Made:
    """A tensor, or the tensors of a tuple under their numbers."""
    if isinstance(value, Tensor):
        return [(name, value)]
    if not isinstance(value, tuple):
        return []
    return [(f"{name}[{i}]", x) for i, x in enumerate(value) if isinstance(x, Tensor)]


def followed(code: CodeType, package: str) -> bool:
    """Functions of the package, except what shows it, refuses its input or is no function
    of its own.
    """
    return (
        code.co_filename.startswith(package)
        and PASSED_OVER.isdisjoint(parts(code, package))
        and not code.co_name.startswith(("check", "<", "_"))
    )


def is_guard(code: CodeType, package: str) -> bool:
    """Functions in the files of `refusals`. What the decorator in its `__init__.py` calls is
    not of the guard: the function that it heads.
    """
    where = parts(code, package)
    return "refusals" in where and where[-1] != "__init__.py"


@cache
def parts(code: CodeType, package: str) -> tuple[str, ...]:
    """The folders and the file of a function, from the package's own on."""
    return Path(code.co_filename.removeprefix(package)).parts


@cache
def statements(code: CodeType) -> dict[int, ast.stmt]:
    """The innermost statement at every line of a function."""
    lines, first = inspect.getsourcelines(code)
    source = "if True:\n" + "".join(lines) if lines[0][0].isspace() else "".join(lines)
    shift = first - 2 if lines[0][0].isspace() else first - 1
    at = {}
    for node in ast.walk(
        ast.parse(source)
    ):  # walks outside in, so that the innermost comes last
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            at.update(dict.fromkeys(range(node.lineno + shift, last + shift + 1), node))
    return at


def statement_at(code: CodeType, line: int) -> ast.stmt | None:
    """The statement that a line belongs to."""
    return statements(code).get(line)
