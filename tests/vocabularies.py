"""Small tokenizers of each kind that a Llama GGUF carries, made of one short corpus.

Their merges are learned across word boundaries, so a text that is cut in the wrong place gives other tokens.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from gguf import TokenType
from tokenizers import pre_tokenizers

from companion import Tokenizer

CORPUS = """\
The the them they're there's 'S it's IT'S I'LL we'll don't DON'T
camelCase CamelCASE HTTPServer École ÉCOLE naïve  two   three    four
12 123 1234 12345 2024 3.14 ٣٤ x=10 y==1200 ... !? -> => <= $5 ~x| a+b
def f(x):\n    return x ** 2\n\n\n\tif x:  \r\n  // path/to/file\n/
日本語 日本 한국어 Привет мир 👩‍👩‍👧 ( [ ]) "quoted," __init__ @# b\u00a0c
abababab aaaaaaaa          end
    word
    word;
/word;
/end
"""
WHOLE = "Ġwholeword"  # a token that no merges make
SPECIAL = ["<|begin|>", "<|eot_id|>", "<tool>"]

TEXTS = [
    *CORPUS.splitlines(keepends=True),
    CORPUS,
    "",
    " ",
    "  ",
    "\n",
    " \n \r\n\r\n",
    "wholeword a wholeword",
    "the<|eot_id|>there <tool> they<|begin|>",
    "<s>the</s> the<unk> the",
    "<tool><tool>  the",
    "日本語1234한국어",
    "e\u0301 ﬁ ǅ ½ Ⅷ ² ſ 'ſ",
    "\x00\x07\x7f\u0085\u2028",
    "🏳️‍🌈 \U00020000 \ufffd",
    "unseen: qzjkw QZJKW 987,654",
    "ab" * 7 + "a" * 9,
    "▁▁ <0x0A> Ġ",
    "wide\u3000space, em\u2003space",
]


def learned(symbols: list[str], longest: int = 5) -> list[tuple[str, str]]:
    """Byte-pair encoding of one text: the commonest pair becomes a symbol, while it is short."""
    merges = []
    while pairs := Counter(
        pair for pair in pairwise(symbols) if len("".join(pair)) <= longest
    ):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        joined: list[str] = []
        for symbol in symbols:
            if joined and (joined[-1], symbol) == best:
                joined[-1] += symbol
            else:
                joined.append(symbol)
        symbols = joined
    return merges


def byte_level(split: str | None, **changes: Any) -> dict[str, Any]:
    """The metadata of a byte-level BPE tokenizer whose texts are cut as `split` says."""
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    [(symbols, _)] = whole.pre_tokenize_str(CORPUS)
    merges = learned(list(symbols))
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += dict.fromkeys(left + right for left, right in merges)
    tokens += [WHOLE, *SPECIAL]
    kinds = [TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    kinds += [TokenType.CONTROL, TokenType.CONTROL, TokenType.USER_DEFINED]
    metadata = {
        "model": "gpt2",
        "tokens": tokens,
        "token_type": list(map(int, kinds)),
        "merges": [f"{left} {right}" for left, right in merges],
        "bos_token_id": tokens.index("<|begin|>"),
        "eos_token_id": tokens.index("<|begin|>"),
        **({} if split is None else {"pre": split}),
    }
    return named({**metadata, **changes})


def sentencepiece(**changes: Any) -> dict[str, Any]:
    """The metadata of a SentencePiece tokenizer: bytes, characters, and pieces with scores."""
    merges = learned(list(CORPUS.replace(" ", "▁").replace("\n", "▁")))
    pieces = dict.fromkeys(left + right for left, right in merges)
    characters = dict.fromkeys(c for piece in pieces for c in piece)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    kinds += [TokenType.BYTE] * 256
    scores = [0.0] * len(tokens)
    for pieces_of, first in ((pieces, 0), (characters, len(pieces))):
        fresh = [piece for piece in pieces_of if piece not in tokens]
        tokens += fresh
        kinds += [TokenType.NORMAL] * len(fresh)
        # every other score equals the one before
        scores += [-float((first + i) // 2) for i in range(len(fresh))]
    tokens += SPECIAL
    kinds += [TokenType.CONTROL, TokenType.CONTROL, TokenType.USER_DEFINED]
    scores += [-1000.0] * len(SPECIAL)
    metadata = {
        "model": "llama",
        "tokens": tokens,
        "token_type": list(map(int, kinds)),
        "scores": scores,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return named({**metadata, **changes})


def named(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata under the names of a GGUF; what is None is left out."""
    return {f"tokenizer.ggml.{k}": v for k, v in metadata.items() if v is not None}


def tokenizer_json(metadata: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a tokenizer.json of the same vocabulary says."""
    backend = Tokenizer.from_gguf(metadata).backend
    return {**json.loads(backend.to_str()), **changes}


def write_directory(path: Path, written: dict[str, Any], **files: Any) -> Path:
    """A tokenizer.json, a config.json and others: `added_tokens` is added_tokens.json."""
    contents = {"config": {"model_type": "llama"}, "tokenizer": written, **files}
    for name, content in contents.items():
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path
