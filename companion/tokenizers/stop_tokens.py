"""The tokens with which a model ends a text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from companion.tokenizers.files import read_object

# Tokens that end a turn of a chat, whatever else a checkpoint names as its end of text.
TURN_ENDS = ("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>")


def stop_ids_of(path: Path, eos_token_id: Any) -> list[int]:
    """What generation_config.json names, or else config.json as `eos_token_id`.

    Raises: ValueError for what is no id and no list of ids.
    """
    stop = read_object(path / "generation_config.json").get("eos_token_id")
    stop = eos_token_id if stop is None else stop
    stop_ids = stop if isinstance(stop, list) else [] if stop is None else [stop]
    if not all(type(i) is int for i in stop_ids):
        raise ValueError(
            f"{path} has eos_token_id {stop!r}: it must be an integer or a list of them"
        )
    # -1 is how some files say none
    return [i for i in stop_ids if 0 <= i < 2**32]


def with_turn_ends(
    stop_ids: Iterable[int], backend: Backend, repeated: Mapping[int, str]
) -> list[int]:
    """The stop ids, the vocabulary's tokens that end a turn, and what repeats one of them."""
    turn_ends = (backend.token_to_id(token) for token in TURN_ENDS)
    stops = [*stop_ids, *(i for i in turn_ends if i is not None)]
    tokens = {repeated.get(i, backend.id_to_token(i)) for i in stops}
    return [*stops, *(i for i, token in repeated.items() if token in tokens)]
