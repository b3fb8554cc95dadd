"""What a GGUF's metadata says of its tokenizer beside the vocabulary."""

from collections.abc import Mapping, Sequence
from typing import Any

from companion.tokenizers.gguf import flag, gguf_backend
from companion.tokenizers.splits import ADDS_BEGIN
from companion.tokenizers.stop_tokens import with_turn_ends

# The tokens that a template may name, and what a GGUF calls their ids (the misspelling too).
TEMPLATE_NAMES = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
    "sep_token": "seperator",
    "mask_token": "mask",
}


def open_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What `Tokenizer` is made of.

    Raises: ValueError and KeyError as `Tokenizer.from_gguf` does.
    """
    backend = gguf_backend(metadata)
    tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
    special = special_ids(metadata)
    repeated = repeated_tokens(tokens)
    stops = [special[name] for name in ("eos", "eot", "eom") if name in special]
    begins = (
        metadata["tokenizer.ggml.model"] == "llama"
        or metadata.get("tokenizer.ggml.pre") in ADDS_BEGIN
    )
    adds_begin = flag(metadata, "add_bos_token", usual=begins)
    adds_end = flag(metadata, "add_eos_token", usual=False)
    return {
        "backend": backend,
        "stop_ids": with_turn_ends(stops, backend, repeated),
        "prefix": [named("bos", special)] if adds_begin else [],
        "suffix": [named("eos", special)] if adds_end else [],
        "chat_template": chat_template(metadata),
        "special_tokens": {
            name: tokens[special[key]]
            for name, key in TEMPLATE_NAMES.items()
            if key in special
        },
        "repeated": repeated,
    }


def repeated_tokens(tokens: Sequence[str]) -> dict[int, str]:
    """The ids whose token comes again later in the vocabulary, where the backend keeps it."""
    last = {token: i for i, token in enumerate(tokens)}
    return {i: token for i, token in enumerate(tokens) if last[token] != i}


def special_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    """The ids of the special tokens that a GGUF names: "bos", "eos", "eot", "padding", ...

    Raises: ValueError for one of those that act, "bos" to "unknown", that is no id in
    the vocabulary; the others are names for a template, and then left out.
    """
    # what llama.cpp takes in a SentencePiece file that names none
    usual = {"bos": 1, "eos": 2} if metadata["tokenizer.ggml.model"] == "llama" else {}
    ids, count = {}, len(metadata["tokenizer.ggml.tokens"])
    for name in ("bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask"):
        key = f"tokenizer.ggml.{name}_token_id"
        i = metadata.get(key, usual.get(name))
        if type(i) is int and 0 <= i < count:
            ids[name] = i
        elif i is not None and name in ("bos", "eos", "eot", "eom", "unknown"):
            raise ValueError(
                f"the GGUF has {key} = {i!r} and {count} tokens, 0 to {count - 1}: "
                "convert it again"
            )
    return ids


def chat_template(metadata: Mapping[str, Any]) -> str | None:
    """A GGUF's chat template, if it has one.

    Raises: ValueError for one that is not text.
    """
    template = metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise ValueError(
            f"the GGUF has tokenizer.chat_template = {template!r}: it must be text; "
            "convert it again"
        )
    return template


def named(name: str, special: Mapping[str, int]) -> int:
    """The special token of that name.

    Raises: KeyError when the file does not say which it is.
    """
    if name not in special:
        raise KeyError(f"tokenizer.ggml.{name}_token_id")
    return special[name]
