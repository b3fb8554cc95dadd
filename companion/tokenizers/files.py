"""Text and JSON from the files of a checkpoint directory."""

import codecs
import json
from pathlib import Path
from typing import Any

# The bytes that may stand before a text, and what they say of the rest.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """A file's text: UTF-8, or what its byte order mark says.

    Raises: ValueError for another encoding.
    """
    with path.open("rb") as file:
        start = file.read(3)
    marked = (MARKS[mark] for mark in MARKS if start.startswith(mark))
    try:
        return path.read_text(encoding=next(marked, "utf-8"))
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 ({error}) but, most likely, Latin-1: "
            f"`iconv -f LATIN1 -t UTF-8 {path.name}` writes it as UTF-8; or download "
            "it again"
        ) from error


def read_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one when there is no file.

    Raises: ValueError for a file that holds something else.
    """
    if not path.exists():
        return {}
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}: expected a JSON object"
        )
    return content
