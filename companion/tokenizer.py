"""Text to token ids and back, with the vocabulary that the checkpoint carries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gguf import TokenType
from jaxtyping import Int
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from tokenizers.decoders import DecodeStream
from torch import Tensor


class Tokenizer:
    """`encode` and `decode` over a backend of the `tokenizers` library.

    `stop_ids` are the tokens with which the model ends a text, as the checkpoint
    names them; special tokens written in a text (`<|im_end|>`) are encoded as the
    single tokens that they are.
    """

    def __init__(
        self, backend: Backend, stop_ids: Iterable[int] = (), prefix: Iterable[int] = ()
    ):
        self.backend = backend
        self.stop_ids = tuple(stop_ids)
        self.prefix = list(prefix)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, begin-of-text first where the checkpoint asks for it."""
        return self.prefix + self.backend.encode(text).ids

    def decode(self, ids: Iterable[int] | Int[Tensor, " length"]) -> str:
        """The text of token ids; bytes that are no whole character become U+FFFD.

        Raises: ValueError for an id outside the vocabulary.
        """
        listed = [int(i) for i in ids]
        for i in listed:
            if not 0 <= i < self.vocab_size:
                raise ValueError(
                    f"token id {i}: the vocabulary has {self.vocab_size} tokens, 0 "
                    f"to {self.vocab_size - 1}"
                )
        return self.backend.decode(listed, skip_special_tokens=False)

    def decode_stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids as they arrive, each piece once its characters are whole."""
        stream, seen, written = DecodeStream(skip_special_tokens=False), [], 0
        for i in ids:
            seen.append(int(i))
            piece = stream.step(self.backend, int(i))
            if piece:
                written += len(piece)
                yield piece
        if rest := self.decode(seen)[written:]:
            yield rest

    @classmethod
    def from_file(cls, path: Path, stop_ids: Iterable[int] = ()) -> "Tokenizer":
        """Read a tokenizer.json.

        Raises: ValueError when the file is not one.
        """
        try:
            return cls(Backend.from_file(str(path)), stop_ids)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not a tokenizer.json: {error}") from error

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> "Tokenizer":
        """Build the byte-level BPE tokenizer that a GGUF's metadata describes.

        Raises: ValueError that names a kind of tokenizer, or a way to split text, not
        known here.
        """
        kind, split = (
            metadata.get("tokenizer.ggml.model"),
            metadata.get("tokenizer.ggml.pre", "gpt-2"),
        )
        if kind != "gpt2":
            raise ValueError(
                f"the GGUF's tokenizer is {kind!r}: only byte-level BPE ('gpt2') is "
                "supported"
            )
        if split not in SPLITS:
            raise ValueError(
                f"the GGUF splits text by {split!r}: only "
                f"{', '.join(map(repr, SPLITS))} are supported"
            )
        tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]
        merges = [
            tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]
        ]
        try:
            backend = Backend(
                models.BPE({token: i for i, token in enumerate(tokens)}, merges)
            )
        except Exception as error:  # the library raises bare Exception
            raise ValueError(
                f"the GGUF's merges do not fit its {len(tokens)} tokens: {error}"
            ) from error
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([*SPLITS[split], byte_level])
        backend.decoder = decoders.ByteLevel()
        kinds = zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True)
        added = [
            (token, kind)
            for token, kind in kinds
            if kind in (TokenType.CONTROL, TokenType.USER_DEFINED)
        ]
        backend.add_tokens(
            [
                AddedToken(token, special=kind == TokenType.CONTROL)
                for token, kind in added
            ]
        )
        prefix = (
            [metadata["tokenizer.ggml.bos_token_id"]]
            if metadata.get("tokenizer.ggml.add_bos_token")
            else []
        )
        stop = metadata.get("tokenizer.ggml.eos_token_id")
        return cls(backend, [] if stop is None else [stop], prefix)


# How `tokenizer.ggml.pre` cuts a text before GPT-2's own rule; SmolLM takes each digit by itself.
SPLITS: dict[str, list[pre_tokenizers.PreTokenizer]] = {
    "gpt-2": [],
    "smollm": [pre_tokenizers.Digits(individual_digits=True)],
}
