"""Text to token ids and back, with the vocabulary that the checkpoint carries."""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int
from tokenizers import Tokenizer as Backend
from torch import Tensor

from companion.tokenizers.chat_template import Message, render_chat
from companion.tokenizers.files import read_settings
from companion.tokenizers.gguf import chat_template, flag, gguf_backend, special_ids
from companion.tokenizers.splits import ADDS_BEGIN
from companion.tokenizers.token_bytes import starts_with_space, token_bytes

# Tokens that end a turn of a chat, whatever else a checkpoint names as its end of text.
TURN_ENDS = ("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>")


class Tokenizer:
    """`encode` and `decode` over a backend of the `tokenizers` library.

    `stop_ids` are the tokens with which the model ends a text, as the checkpoint
    names them; special tokens written in a text (`<|im_end|>`) are encoded as the
    single tokens that they are. `prefix` and `suffix` are put around every text.
    `chat_template` and its `special_tokens` (`bos_token`, ...) make a text of messages.
    """

    def __init__(
        self,
        backend: Backend,
        stop_ids: Iterable[int] = (),
        prefix: Iterable[int] = (),
        suffix: Iterable[int] = (),
        chat_template: str | None = None,
        special_tokens: Mapping[str, str] | None = None,
    ):
        self.backend = backend
        self.stop_ids = tuple(dict.fromkeys(stop_ids))
        self.prefix = list(prefix)
        self.suffix = list(suffix)
        self.chat_template = chat_template
        self.special_tokens = dict(special_tokens or {})
        self.token_bytes = token_bytes(backend)
        self.starts_with_space = starts_with_space(backend)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included."""
        return len(self.token_bytes)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The token ids of a text, begin-of-text first where the checkpoint asks for it.

        `add_special_tokens=False` leaves that out, for a text that has it already.

        Raises: ValueError for a text that is no valid Unicode.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the text is no valid Unicode at character {error.start} "
                f"({text[error.start]!r}): half of a surrogate pair has no UTF-8"
            ) from error
        ids = self.backend.encode(text, add_special_tokens=add_special_tokens).ids
        return self.prefix + ids + self.suffix if add_special_tokens else ids

    def decode(self, ids: Iterable[int] | Int[Tensor, " length"]) -> str:
        """The text of token ids; bytes that are no whole character become U+FFFD.

        Raises: ValueError for an id outside the vocabulary.
        """
        return "".join(self.decode_stream(int(i) for i in ids))

    def decode_stream(
        self, ids: Iterable[int], after: Iterable[int] = ()
    ) -> Iterator[str]:
        """The text of ids as they arrive, each piece once its characters are whole.

        The ids in `after` came before: a text that goes on from them keeps the space
        that SentencePiece writes at the start of each text and that is dropped there.
        """
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        at_start = self.starts_with_space
        for i in after:
            utf8.decode(self.bytes_of(i))
            at_start = False
        for i in ids:
            content = self.bytes_of(i)
            if piece := utf8.decode(
                content.removeprefix(b" ") if at_start else content
            ):
                yield piece
            at_start = False
        if rest := utf8.decode(b"", final=True):
            yield rest

    def bytes_of(self, i: int) -> bytes:
        """The bytes of text that a token stands for.

        Raises: ValueError for an id outside the vocabulary.
        """
        if not 0 <= i < self.vocab_size:
            raise ValueError(
                f"token id {i}: the vocabulary has {self.vocab_size} tokens, 0 to "
                f"{self.vocab_size - 1}"
            )
        return self.token_bytes[int(i)]

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
        if self.chat_template is None:
            raise ValueError(
                "the checkpoint has no chat template (tokenizer.chat_template in a "
                "GGUF, chat_template.jinja or tokenizer_config.json in a directory): "
                "write the prompt yourself and encode it, or set "
                "tokenizer.chat_template"
            )
        text = render_chat(
            self.chat_template, messages, add_generation_prompt, self.special_tokens
        )
        return self.encode(text, add_special_tokens=False)

    @classmethod
    def from_file(
        cls, path: Path, stop_ids: Iterable[int] = (), **options: Any
    ) -> "Tokenizer":
        """Read a tokenizer.json.

        Raises: ValueError when the file is not one.
        """
        try:
            backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not a tokenizer.json: {error}") from error
        return cls(backend, stop_ids, **options)

    @classmethod
    def from_directory(cls, path: Path, eos_token_id: Any = None) -> "Tokenizer":
        """Read tokenizer.json and what the files beside it say of chat and stop tokens.

        `eos_token_id` is what config.json says; generation_config.json goes before.

        Raises: ValueError for a file that is not what its name says.
        """
        settings = read_settings(path, eos_token_id)
        made = cls.from_file(
            path / "tokenizer.json",
            settings.stop_ids,
            chat_template=settings.chat_template,
            special_tokens=settings.special_tokens,
        )
        made.stop_ids = with_turn_ends(settings.stop_ids, made.backend)
        return made

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> "Tokenizer":
        """Build the tokenizer that a GGUF's metadata describes.

        Raises: ValueError that names a kind of tokenizer, or a way to split text, not
        known here, or metadata of another kind. KeyError for metadata that is missing.
        """
        said = {
            key.removeprefix("tokenizer.ggml."): value
            for key, value in metadata.items()
            if key.startswith("tokenizer.ggml.")
        }
        backend = gguf_backend(metadata)
        sentencepiece = said["model"] == "llama"
        begins = sentencepiece or said.get("pre") in ADDS_BEGIN
        adds_begin = flag(metadata, "add_bos_token", usual=begins)
        adds_end = flag(metadata, "add_eos_token", usual=False)
        special = special_ids(metadata)
        stops = [special[name] for name in ("eos", "eot", "eom") if name in special]
        return cls(
            backend,
            with_turn_ends(stops, backend),
            prefix=[named("bos", special)] if adds_begin else [],
            suffix=[named("eos", special)] if adds_end else [],
            chat_template=chat_template(metadata),
            special_tokens={
                f"{name}_token": said["tokens"][special[key]]
                for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"))
                if key in special
            },
        )


def named(name: str, special: Mapping[str, int]) -> int:
    """The special token of that name.

    Raises: KeyError when the file does not say which it is.
    """
    if name not in special:
        raise KeyError(f"tokenizer.ggml.{name}_token_id")
    return special[name]


def with_turn_ends(stop_ids: Iterable[int], backend: Backend) -> tuple[int, ...]:
    """The stop ids, and the vocabulary's tokens that end a turn of a chat."""
    ends = (backend.token_to_id(token) for token in TURN_ENDS)
    return tuple(dict.fromkeys([*stop_ids, *(i for i in ends if i is not None)]))
