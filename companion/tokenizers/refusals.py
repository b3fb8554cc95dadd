"""What the tokenizer refuses, in words: texts that are none, ids, steps not computed."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from companion.refusals.numbers import is_integer


def encode(self: Any, text: str, add_special_tokens: bool = True) -> None:
    """Refuse what is no text, and a text that has no UTF-8.

    Raises: ValueError that says what the text most likely is, and how to read it.
    """
    if not isinstance(text, str):
        kind = type(text).__name__
        remedy = {
            "bytes": "decode them: text.decode('utf-8')",
            "list": "encode each: [tokenizer.encode(each) for each in text]",
        }.get(kind, "pass a str")
        raise ValueError(f"text is a {kind}, {text!r:.60}: it must be text; {remedy}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(not_unicode(text, error.start)) from error


def not_unicode(text: str, start: int) -> str:
    """What a surrogate in a text comes from, and the call that makes it right."""
    where = f"the text is no valid Unicode at character {start}, {text[start]!r}"
    unit, following = ord(text[start]), text[start + 1 : start + 2]
    if 0xDC80 <= unit <= 0xDCFF:  # what errors="surrogateescape" reads a byte as
        return (
            f"{where}, which stands for the byte 0x{unit - 0xDC00:02X}: it was read "
            "from bytes that are not UTF-8 but, most likely, Latin-1; then "
            "text.encode('utf-8', 'surrogateescape').decode('latin-1') is the text"
        )
    if unit < 0xDC00 and "\udc00" <= following <= "\udfff":
        return (
            f"{where}, which with the next is one character, in the two halves of "
            "UTF-16: text.encode('utf-16', 'surrogatepass').decode('utf-16') is the "
            "text"
        )
    return (
        f"{where}, which is half of a UTF-16 pair whose other half is missing: the text was cut "
        "in a character; text.encode('utf-8', 'replace').decode() is the text with ? "
        "for it"
    )


def not_encoded(text: str, error: Exception) -> str:
    """What is said of a text with which the library fails."""
    return (
        f"the tokenizer fails on the text {text!r:.60} ({error}): a vocabulary that "
        "has no token for every word needs one for unknown words, unk_token in the "
        "model of its tokenizer.json"
    )


def decode(self: Any, ids: Any) -> None:
    """Refuse what is no row of ids."""
    shape = getattr(ids, "shape", None)
    if shape is not None and len(shape) != 1:
        remedy = "ids[0] is its first row" if len(shape) == 2 else "pass (length,)"
        raise ValueError(f"ids is {tuple(shape)}: decode takes one row; {remedy}")
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise ValueError(f"ids is {ids!r:.60}: it must be a list of token ids")


def checked_ids(ids: Iterable[Any]) -> Iterator[int]:
    """The ids as they arrive.

    Raises: ValueError for what no model gives as an id.
    """
    for i in ids:
        number = i.item() if hasattr(i, "item") and getattr(i, "ndim", 0) == 0 else i
        if not is_integer(number) or not 0 <= number < 2**32:
            raise ValueError(
                f"token id {number!r:.60}: it must be an integer from 0, where the "
                "vocabulary begins, below 2**32"
            )
        yield number


def decoder_step(step: dict[str, Any], decoder: dict[str, Any]) -> NoReturn:
    """Refuse a step of a decoder that is not computed."""
    steps = ", ".join(part["type"] for part in decoder.get("decoders", [decoder]))
    raise ValueError(
        f"the tokenizer decodes by {steps}, and the step {json.dumps(step)} is not "
        "computed at that place: tokenizer.backend.decode(ids, "
        "skip_special_tokens=False) is the text of a list of ids"
    )
