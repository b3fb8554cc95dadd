"""The tokenizers of Llama GGUFs: byte-level BPE (GPT-2, Llama 3) and SentencePiece (Llama 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from gguf import TokenType
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from companion.tokenizers.splits import IGNORES_MERGES, SPLITS

SPACE = "▁"  # U+2581, how SentencePiece writes a space
# Special whatever type the file gives them: some conversions forget it, and llama.cpp knows it.
END_TOKENS = {
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<end_of_turn>",
}


def gguf_backend(metadata: Mapping[str, Any]) -> Backend:
    """The tokenizer that a GGUF's metadata describes.

    Raises: ValueError that names a kind of tokenizer, or a way to split text, not
    known here. KeyError for metadata that is missing.
    """
    kind = metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str) or kind not in BACKENDS:
        raise ValueError(
            f"the GGUF's tokenizer is {kind!r}: only byte-level BPE ('gpt2') and "
            "SentencePiece ('llama') are supported"
        )
    backend = BACKENDS[kind](metadata)
    tokens, kinds = (
        metadata["tokenizer.ggml.tokens"],
        metadata["tokenizer.ggml.token_type"],
    )
    if len(kinds) != len(tokens):
        raise ValueError(
            f"the GGUF has {len(tokens)} tokens and {len(kinds)} token types: there "
            "must be one for each"
        )
    for token, kind in zip(tokens, kinds, strict=True):
        if kind in (TokenType.CONTROL, TokenType.UNKNOWN) or token in END_TOKENS:
            backend.add_special_tokens([AddedToken(token, normalized=False)])
        elif kind == TokenType.USER_DEFINED:
            backend.add_tokens([AddedToken(token, normalized=False)])
    return backend


def flag(metadata: Mapping[str, Any], name: str, usual: bool) -> bool:
    """What a GGUF says to a question about its tokenizer, else what is usual.

    Raises: ValueError for an answer that is neither true nor false.
    """
    said = metadata.get(f"tokenizer.ggml.{name}", usual)
    if not isinstance(said, bool):
        raise ValueError(
            f"the GGUF has tokenizer.ggml.{name} = {said!r}: it must be true or "
            "false; convert it again"
        )
    return said


def byte_level_bpe(metadata: Mapping[str, Any]) -> Backend:
    """Regexes cut the text into words, and merges join each word's bytes to tokens.

    Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners,
    section 2.2; the regexes are those of llama.cpp.
    """
    split = metadata.get("tokenizer.ggml.pre", "default")
    if not isinstance(split, str) or split not in SPLITS:
        raise ValueError(
            f"the GGUF splits text by {split!r}: only "
            f"{', '.join(map(repr, sorted(SPLITS)))} are supported"
        )
    tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
    # a merge is "left right", and a space within a token is written Ġ
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    try:
        backend = Backend(
            models.BPE(vocabulary, merges, ignore_merges=split in IGNORES_MERGES)
        )
    except Exception as error:  # the library raises bare Exception
        raise ValueError(
            f"the GGUF's merges do not fit its {len(tokens)} tokens: {error}"
        ) from error
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(rule), "isolated") for rule in SPLITS[split]),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def sentencepiece_bpe(metadata: Mapping[str, Any]) -> Backend:
    """Spaces become U+2581, pairs merge by the score of what they make, the rest is bytes.

    Source: Kudo and Richardson (2018), SentencePiece.
    """
    tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
    scores: Sequence[float] = metadata["tokenizer.ggml.scores"]
    if len(scores) != len(tokens):
        raise ValueError(
            f"the GGUF has {len(tokens)} tokens and {len(scores)} scores: there must "
            "be one for each"
        )
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges = merges_by_score(tokens, scores, vocabulary)
    backend = Backend(models.BPE(vocabulary, merges, byte_fallback=True))
    escape: list[Any] = [normalizers.Replace(" ", SPACE)]
    restore: list[Any] = [
        decoders.Replace(SPACE, " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
    ]
    if flag(metadata, "add_space_prefix", usual=True):
        escape.insert(0, normalizers.Prepend(SPACE))
        restore.append(decoders.Strip(" ", 1, 0))
    backend.normalizer = normalizers.Sequence(escape)
    backend.decoder = decoders.Sequence(restore)
    return backend


def merges_by_score(
    tokens: Sequence[str], scores: Sequence[float], vocabulary: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Every way to make a token of two others, the highest score first."""
    best_first = sorted(range(len(tokens)), key=lambda i: -scores[i])
    return [
        (token[:cut], token[cut:])
        for token in map(tokens.__getitem__, best_first)
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]


BACKENDS = {"gpt2": byte_level_bpe, "llama": sentencepiece_bpe}
