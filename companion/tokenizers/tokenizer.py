"""Text to token ids and back, with the vocabulary that the checkpoint carries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from jaxtyping import Int
from tokenizers import Tokenizer as Backend
from torch import Tensor

from companion.refusals import guarded_by
from companion.tokenizers import refusals
from companion.tokenizers.chat_template import Message, chosen, render_chat
from companion.tokenizers.decoding import decoded, replaced
from companion.tokenizers.directory import (
    forget_calls,
    open_directory,
    read_backend,
    unknown_ids,
)
from companion.tokenizers.metadata import open_metadata


class Tokenizer:
    """`encode` and `decode` over a backend of the `tokenizers` library.

    `stop_ids` are the tokens with which the model ends a text, as the checkpoint
    names them; special tokens written in a text (`<|im_end|>`) are encoded as the
    single tokens that they are. `prefix` and `suffix` are put around every text.
    `chat_template`, one or several by name, and its `special_tokens` (`bos_token`, ...)
    make a text of messages. `repeated` are the tokens of ids that the backend does not
    know, since it keeps one id of each; `clean_up` is what replaces what in a text.
    """

    def __init__(
        self,
        backend: Backend,
        stop_ids: Iterable[int] = (),
        prefix: Iterable[int] = (),
        suffix: Iterable[int] = (),
        chat_template: str | Mapping[str, str] | None = None,
        special_tokens: Mapping[str, str] | None = None,
        repeated: Mapping[int, str] | None = None,
        clean_up: Mapping[str, str] | None = None,
    ):
        self.backend = backend
        self.stop_ids = tuple(dict.fromkeys(stop_ids))
        self.prefix = list(prefix)
        self.suffix = list(suffix)
        self.chat_template = chat_template
        self.special_tokens = dict(special_tokens or {})
        self.repeated = dict(repeated or {})
        self.clean_up = dict(clean_up or {})
        vocabulary = backend.get_vocab(with_added_tokens=True)
        ids = chain(vocabulary.values(), self.repeated)
        self.vocab_size = 1 + max(ids, default=-1)  # special tokens included
        added = backend.get_added_tokens_decoder()
        self.added = frozenset(backend.id_to_token(i) for i in added)

    def token(self, i: int) -> str | None:
        """The token of an id; None beyond the vocabulary."""
        token: str | None = self.backend.id_to_token(i)
        return self.repeated.get(i) if token is None else token

    @guarded_by(refusals.encode)
    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text, begin-of-text first where the checkpoint asks for it.

        `add_special_tokens=False` leaves that out, for a text that has it already.

        Raises: ValueError for a text that is no valid Unicode, and for words that a
        vocabulary without a token for unknown ones does not have.
        """
        try:
            ids = self.backend.encode(text, add_special_tokens=add_special_tokens).ids
        except Exception as error:  # the library raises bare Exception
            raise ValueError(refusals.not_encoded(text, error)) from error
        return self.prefix + ids + self.suffix if add_special_tokens else ids

    @guarded_by(refusals.decode)
    def decode(self, ids: Iterable[int] | Int[Tensor, " length"]) -> str:
        """The text of token ids; bytes that are no whole character become U+FFFD.

        An id beyond the vocabulary, as a padded head has them, is no text.

        Raises: ValueError for what is no row of ids, and for a decoder that is not
        computed.
        """
        return "".join(self.decode_stream(iter(ids)))

    def decode_stream(
        self, ids: Iterable[int], after: Iterable[int] = ()
    ) -> Iterator[str]:
        """The text of ids as they arrive, each piece once its characters are whole.

        The ids in `after` came before: a text that goes on from them keeps the space
        that SentencePiece writes at the start of each text and that is dropped there.

        Raises: ValueError as `decode` does.
        """
        before = True

        def tokens() -> Iterator[str]:
            nonlocal before
            yield from self.tokens(after)
            before = False
            yield from self.tokens(ids)

        pieces = decoded(self.backend, tokens(), self.added)
        for old, new in self.clean_up.items():
            pieces = replaced(pieces, old, new)
        for piece in pieces:
            if piece and not before:
                yield piece

    def tokens(self, ids: Iterable[int]) -> Iterator[str]:
        """The tokens of ids, as the vocabulary writes them."""
        for i in refusals.checked_ids(ids):
            if (token := self.token(i)) is not None:
                yield token

    def apply_chat_template(
        self, messages: Sequence[Message], add_generation_prompt: bool = True
    ) -> list[int]:
        """The token ids of a conversation, ready for the model's answer.

        Each message is `{"role": ..., "content": ...}` with the role `"system"`,
        `"user"` or `"assistant"`. The template writes begin-of-text itself where the model wants
        it, so none is added; `decode` shows the text.

        Raises: ValueError for a checkpoint without a template, and for messages that
        the template refuses.
        """
        text = render_chat(
            chosen(self.chat_template),
            messages,
            add_generation_prompt,
            self.special_tokens,
        )
        return self.encode(text, add_special_tokens=False)

    @classmethod
    def from_file(
        cls, path: str | Path, stop_ids: Iterable[int] = (), **options: Any
    ) -> "Tokenizer":
        """Read a tokenizer.json.

        Truncation and padding, which it keeps of the last call before it was saved, do
        not act here.

        Raises: ValueError when the file is not one.
        """
        backend, given = read_backend(Path(path))
        forget_calls(backend)
        repeated = unknown_ids(backend, given)
        return cls(backend, stop_ids, repeated=repeated, **options)

    @classmethod
    def from_directory(cls, path: str | Path, eos_token_id: Any = None) -> "Tokenizer":
        """Read tokenizer.json and what the files beside it say of chat and special tokens.

        `eos_token_id` is what config.json says; generation_config.json goes before.

        Raises: ValueError for a file that is not what its name says.
        """
        return cls(**open_directory(Path(path), eos_token_id))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> "Tokenizer":
        """Build the tokenizer that a GGUF's metadata describes.

        Raises: ValueError that names a kind of tokenizer, or a way to split text, not
        known here, or metadata of another kind. KeyError for metadata that is missing.
        """
        return cls(**open_metadata(metadata))
