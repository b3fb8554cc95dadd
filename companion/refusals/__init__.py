"""What public functions refuse, in words: what came, what was expected, and the remedy.

A function names its guard in one line above its definition, so that its body is the
formula. A guard has the function's name and arguments, and may look at what stands
before that function in the book, never at the function.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def guarded_by(
    guard: Callable[..., None],
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A decorator: `guard` sees the arguments first, and raises what it refuses."""

    def decorate(
        function: Callable[Arguments, Result],
    ) -> Callable[Arguments, Result]:
        @wraps(function)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            guard(*args, **kwargs)
            return function(*args, **kwargs)

        return guarded

    return decorate
