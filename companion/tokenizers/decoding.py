"""Tokens to text, by the steps of a tokenizer.json's decoder, each token as it arrives.

Source: the Rust library `tokenizers`, whose steps take all tokens at once.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator

from tokenizers import Tokenizer as Backend

from companion.tokenizers import refusals

BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")  # how SentencePiece writes a byte
# Spaces that some tokenizers write and a text has not, as Hugging Face takes them out.
CLEAN_UP = {f" {sign}": sign for sign in ".?!,"} | {" ' ": "'"}
CLEAN_UP |= {f" {end}": end for end in ("n't", "'m", "'s", "'ve", "'re")}


def decoded(
    backend: Backend, tokens: Iterable[str], added: Collection[str | None]
) -> Iterator[str]:
    """The text of tokens in pieces; `added` are those that no alphabet of bytes applies to.

    Raises: ValueError, before a token is taken, for a step that is not computed.
    """
    if backend.decoder is None:
        return joined_by_spaces(tokens)
    decoder = json.loads(backend.decoder.__getstate__())
    pieces, made_of = tokens, "tokens"  # then "parts" of tokens, or one "text"
    for step in decoder.get("decoders", [decoder]):
        match step:
            case {"type": "Fuse"}:
                made_of = "text"
            case {"type": "ByteLevel"} if made_of == "tokens":
                pieces, made_of = byte_level(pieces, added), "text"
            case {"type": "ByteFallback"} if made_of == "tokens":
                pieces, made_of = byte_fallback(pieces), "parts"
            case {"type": "Replace", "pattern": {"String": old}, "content": new} if old:
                each = made_of == "tokens"
                pieces = (replaced_each if each else replaced)(pieces, old, new)
            case {"type": "Metaspace", "replacement": sign} if made_of != "text":
                prepends = step.get("prepend_scheme", "always") != "never"
                pieces = metaspace(pieces, sign, prepends)
            case {"type": "Strip", "content": sign} if made_of == "tokens":
                pieces = stripped_each(pieces, sign, step["start"], step["stop"])
            case {"type": "Strip", "content": sign} if made_of == "text":
                pieces = stripped(pieces, sign, step["start"], step["stop"])
            case _:
                refusals.decoder_step(step, decoder)
    return iter(pieces)


def joined_by_spaces(tokens: Iterable[str]) -> Iterator[str]:
    """Words with a space between them, as they are without a decoder."""
    for i, token in enumerate(tokens):
        yield f" {token}" if i else token


def byte_level(tokens: Iterable[str], added: Collection[str | None]) -> Iterator[str]:
    """A byte for each character, by GPT-2's alphabet; any other token is its own text."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        by_alphabet = token not in added and BYTE_OF.keys() >= {*token}
        yield utf8.decode(
            bytes(BYTE_OF[character] for character in token)
            if by_alphabet
            else token.encode()
        )
    yield utf8.decode(b"", final=True)


def byte_fallback(tokens: Iterable[str]) -> Iterator[str]:
    """`<0xE2>` is that byte, given out when its character is whole."""
    utf8 = codecs.getincrementaldecoder("utf-8")(EACH)
    for token in tokens:
        byte = BYTE_TOKEN.fullmatch(token)
        content = bytes.fromhex(byte[1]) if byte else b""
        if whole := utf8.decode(content, final=not byte):
            yield whole
        if not byte:
            yield token
    yield utf8.decode(b"", final=True)


def replaced_each(tokens: Iterable[str], old: str, new: str) -> Iterator[str]:
    """One text for another in every token: U+2581 is a space to SentencePiece."""
    return (token.replace(old, new) for token in tokens)


def replaced(pieces: Iterable[str], old: str, new: str) -> Iterator[str]:
    """One text for another; what may be the start of it is held back till it goes on."""
    held = ""
    for piece in pieces:
        *whole, rest = (held + piece).split(old)
        starts = (n for n in range(len(old) - 1, 0, -1) if rest.endswith(old[:n]))
        shown = len(rest) - next(starts, 0)
        held = rest[shown:]
        yield "".join(part + new for part in whole) + rest[:shown]
    yield held


def metaspace(tokens: Iterable[str], sign: str, prepends: bool) -> Iterator[str]:
    """The sign is a space; in the first token none where encoding puts it in front."""
    for i, token in enumerate(tokens):
        yield token.replace(sign, "" if prepends and i == 0 else " ")


def stripped_each(
    tokens: Iterable[str], sign: str, start: int, stop: int
) -> Iterator[str]:
    """Every token without as many signs, at most, at its start and its end."""
    return ("".join(stripped([token], sign, start, stop)) for token in tokens)


def stripped(pieces: Iterable[str], sign: str, start: int, stop: int) -> Iterator[str]:
    """The text without as many signs at its start and end; held back till it goes on."""
    held = ""
    for piece in pieces:
        while start and piece.startswith(sign):
            piece, start = piece[1:], start - 1
        start = 0 if piece else start
        text = held + piece
        ending = len(text) - len(text.rstrip(sign))
        shown = len(text) - min(ending, stop)
        held = text[shown:]
        yield text[:shown]


def each_byte(error: UnicodeError) -> tuple[str, int]:
    """U+FFFD for each byte that is part of no character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


EACH = "companion: each byte"
codecs.register_error(EACH, each_byte)


def byte_alphabet() -> dict[str, int]:
    """GPT-2's character for each byte: itself if it prints, else the next from U+0100 on."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in prints]
    return {chr(byte): byte for byte in prints} | {
        chr(0x100 + i): byte for i, byte in enumerate(others)
    }


BYTE_OF = byte_alphabet()
