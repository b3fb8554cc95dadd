"""The bytes that each token stands for: a character may be spread over several tokens."""

import json
import re
from typing import Any

from tokenizers import Tokenizer as Backend

BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")  # how SentencePiece writes a byte


def token_bytes(backend: Backend) -> list[bytes]:
    """For each token id the bytes of text it stands for; none for an id left out.

    Raises: ValueError for a tokenizer that is neither byte-level nor SentencePiece.
    """
    kinds = {part["type"] for part in decoder_parts(backend)}
    if "ByteLevel" in kinds:
        to_bytes = byte_level
    elif kinds & {"ByteFallback", "Metaspace"}:
        to_bytes = sentencepiece
    else:
        raise ValueError(
            f"the tokenizer decodes by {', '.join(sorted(kinds)) or 'nothing'}: only "
            "byte-level BPE (ByteLevel) and SentencePiece (ByteFallback, Metaspace) "
            "are supported"
        )
    vocabulary = backend.get_vocab(with_added_tokens=True)
    as_written = backend.get_added_tokens_decoder()
    listed = [b""] * (1 + max(vocabulary.values(), default=-1))
    for token, i in vocabulary.items():
        listed[i] = token.encode() if i in as_written else to_bytes(token)
    return listed


def byte_level(token: str) -> bytes:
    """A byte for each character, by GPT-2's alphabet; any other token is its own text."""
    if all(character in BYTE_OF for character in token):
        return bytes(BYTE_OF[character] for character in token)
    return token.encode()


def sentencepiece(token: str) -> bytes:
    """`<0xE2>` is that byte, and U+2581 a space."""
    if byte := BYTE_TOKEN.fullmatch(token):
        return bytes.fromhex(byte[1])
    return token.replace("▁", " ").encode()


def byte_alphabet() -> dict[str, int]:
    """GPT-2's character for each byte: itself if it prints, else the next from U+0100 on."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in prints]
    return {chr(byte): byte for byte in prints} | {
        chr(0x100 + i): byte for i, byte in enumerate(others)
    }


BYTE_OF = byte_alphabet()


def starts_with_space(backend: Backend) -> bool:
    """Whether encoding puts a space before a text, which decoding then takes away."""
    return any(
        part["type"] == "Strip"
        or (part["type"] == "Metaspace" and part.get("prepend_scheme") != "never")
        for part in decoder_parts(backend)
    )


def decoder_parts(backend: Backend) -> list[dict[str, Any]]:
    """What the backend decodes by, one after the other."""
    if backend.decoder is None:
        return []
    decoder = json.loads(backend.decoder.__getstate__())
    parts: list[dict[str, Any]] = decoder.get("decoders", [decoder])
    return parts
