"""The cache under both names that Hugging Face's models have for it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from companion.cache import Cache


def cache_by_either_name(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `cache`, as transformers 5.24 and later say, is `past_key_values`.

    What came as `cache` and is none, like their paged one, stays an option.

    Raises: ValueError when a cache came by both names.
    """

    @wraps(forward)
    def renamed(*args: Any, cache: Any = None, **options: Any) -> Any:
        if not isinstance(cache, Cache):
            return forward(
                *args, **options, **({} if cache is None else {"cache": cache})
            )
        if options.get("past_key_values") is not None:
            raise ValueError(
                "cache and past_key_values both came, and are two names of one argument "
                "(transformers 5.24 renamed it): leave one out"
            )
        return forward(*args, **{**options, "past_key_values": cache})

    return renamed
