"""The texts that SmolLM2 writes with faults in it, below the right one."""

import html
import re

from companion.exercises import FAULTS
from companion.show.figures.svg import Figure
from companion.show.planted import NEW_TOKENS, PROMPT, RIGHT, kept

SIGNS = str.maketrans({"\n": "⏎", "\xa0": "␣"})


def written_texts(*names: str) -> Figure:
    """A line of tokens for no fault and for each of these, in boxes as long as they are
    those of the right text.

    Raises: ValueError for a fault that is not planted.
    """
    if unknown := [name for name in names if name not in kept()]:
        raise ValueError(f"no text is kept for {', '.join(unknown)}: it is not planted")
    titles = {RIGHT: "No fault"} | {name: FAULTS[name].title for name in names}
    told = [
        f"{title}: {kept()[name].right_tokens} of {NEW_TOKENS} tokens are right"
        for name, title in titles.items()
    ]
    return Figure(
        panels=tuple(line_of_tokens(name, title) for name, title in titles.items()),
        alt="; ".join(told),
        caption=f"What SmolLM2 writes after “{PROMPT}”, the likeliest token each time. "
        "Tokens in a box are those of the right text so far.",
    )


def line_of_tokens(name: str, title: str) -> str:
    """One text as HTML, under what is wrong."""
    text = kept()[name]
    tokens = "".join(
        f'<span class="token{" right" * (place < text.right_tokens)}">'
        f"{html.escape(piece.translate(SIGNS))}</span>"
        for place, piece in enumerate(text.pieces)
    )
    return (
        f'<div class="written"><span class="title">{html.escape(title)}</span>'
        f"{tokens}</div>"
    )


def on_a_line(words: str) -> str:
    """Text with its line breaks as signs, and what comes again and again counted."""
    return re.sub(r"(.{5,}?)\1{3,}", counted, words.translate(SIGNS))


def counted(found: re.Match[str]) -> str:
    """A piece of text once, and how many times it came."""
    return f"{found[1]} (× {len(found[0]) // len(found[1])})"
