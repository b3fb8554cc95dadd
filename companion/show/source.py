"""The package's own source, shown in a chapter as highlighted code."""

import inspect
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import companion

ROOT = Path(companion.__file__).parent.parent


class Source:
    """Source text that a notebook shows as highlighted Python, under the name of
    its file.
    """

    def __init__(self, *objects: Any):
        found = tuple(function_of(each) for each in objects)
        paths = [
            Path(inspect.getsourcefile(each) or "").resolve().relative_to(ROOT)
            for each in found
        ]
        self.files = list(dict.fromkeys(path.as_posix() for path in paths))
        self.text = "\n\n".join(map(listing, found))

    def __repr__(self) -> str:
        return f"# {', '.join(self.files)}\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"`{', '.join(self.files)}`\n\n```python\n{self.text}\n```"


def function_of(each: Any) -> Callable:
    """The function as it was written: without its wrappers, or what Triton makes of a
    kernel, which keeps it as `fn`.
    """
    each = inspect.unwrap(each)
    while not inspect.isroutine(each) and hasattr(each, "fn"):
        each = each.fn
    return each


def listing(each: Callable) -> str:
    """The source of one object; a method's under the name of its class."""
    name = each.__qualname__
    code = dedent(inspect.getsource(each)).rstrip()
    return f"# {name}\n{code}" if "." in name else code


def source(*objects: Any) -> Source:
    """Show functions, classes or kernels of the package as they stand in its files, so that
    no chapter retypes them.
    """
    return Source(*objects)
