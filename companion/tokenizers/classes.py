"""What the class that a directory names for its tokenizer says beyond tokenizer.json.

Source: Hugging Face transformers, `LlamaTokenizer` and its like.
"""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

SPACE = "▁"  # U+2581, how SentencePiece writes a space
SENTENCEPIECE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TEXT_END = {"eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
INFILLING = {"prefix_token": "▁<PRE>", "middle_token": "▁<MID>"}
INFILLING |= {
    "suffix_token": "▁<SUF>",
    "eot_token": "▁<EOT>",
    "fill_token": "<FILL_ME>",
}

# The special tokens that a class has where no file names them.
USUAL: dict[str, dict[str, str]] = {
    "LlamaTokenizer": SENTENCEPIECE,
    "CodeLlamaTokenizer": {**SENTENCEPIECE, **INFILLING},
    "GPT2Tokenizer": {**TEXT_END, "bos_token": "<|endoftext|>"},
    "GPTNeoXTokenizer": {
        **TEXT_END,
        "bos_token": "<|endoftext|>",
        "pad_token": "<|padding|>",
    },
    "Qwen2Tokenizer": {**TEXT_END, "pad_token": "<|endoftext|>"},
}
BYTE_LEVEL = ("GPT2Tokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer")


def class_of(*configs: Mapping[str, Any]) -> str:
    """The first class that is named, without the ending that it once had."""
    names = (config.get("tokenizer_class") for config in configs)
    return str(next((name for name in names if name), "")).removesuffix("Fast")


def usual_tokens(name: str, backend: Backend) -> dict[str, str]:
    """The special tokens of a class; a byte-level LlamaTokenizer (Llama 3) has none."""
    if name == "LlamaTokenizer" and not has_space_sign(backend):
        return {}
    return USUAL.get(name, {})


def has_space_sign(backend: Backend) -> bool:
    """Whether spaces are written as SentencePiece does, or nothing is said of them."""
    parts = (backend.normalizer, backend.pre_tokenizer, backend.decoder)
    said = [part.__getstate__() for part in parts if part is not None]
    return not said or any(SPACE.encode() in each for each in said)


def complete(backend: Backend, name: str, config: Mapping[str, Any]) -> None:
    """Make of the backend what the class makes of it."""
    if name in BYTE_LEVEL and backend.decoder is None:
        backend.decoder = decoders.ByteLevel()
    llama = name in ("LlamaTokenizer", "CodeLlamaTokenizer")
    if llama and isinstance(backend.model, models.BPE) and has_space_sign(backend):
        prefixes = config.get("add_prefix_space") is not False
        always = name == "LlamaTokenizer" and bool(config.get("legacy"))
        write_spaces(backend, prefixes, always)


def write_spaces(backend: Backend, prefixes: bool, always: bool) -> None:
    """A space goes in front of the text alone, and not after each special token.

    As it does where the files say "legacy".
    """
    scheme = ("always" if always else "first") if prefixes else "never"
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme, split=False)
    backend.model.byte_fallback, backend.model.fuse_unk = True, True
    restore: list[Any] = [
        decoders.Replace(SPACE, " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
    ]
    if prefixes:
        restore.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(restore)
