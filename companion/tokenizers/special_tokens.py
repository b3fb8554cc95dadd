"""The special tokens of a directory, from wherever it keeps them.

Source: Hugging Face transformers, `PreTrainedTokenizerBase.from_pretrained`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from companion.tokenizers.files import read_object

CONFIG = "tokenizer_config.json"
NAMES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"]
NAMES += ["mask_token"]
LISTS = ("extra_special_tokens", "additional_special_tokens")
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


@dataclass(frozen=True)
class SpecialTokens:
    """Those that have a name, all others, and the ids that files give to tokens."""

    named: dict[str, AddedToken]
    others: list[AddedToken]
    ids: dict[int, AddedToken]

    @property
    def texts(self) -> dict[str, str]:
        """What a chat template sees: `bos_token` and its like."""
        return {name: token.content for name, token in self.named.items()}

    def add_to(self, backend: Backend) -> None:
        """Make them tokens of the vocabulary, the next ids for those that are none yet."""
        there = backend.get_added_tokens_decoder().values()
        same, texts = {repr(token) for token in there}, {t.content for t in there}
        tokens = [t for _, t in sorted(self.ids.items()) if repr(t) not in same]
        texts |= {token.content for token in tokens}
        for token in [*self.named.values(), *self.others]:
            if token.content not in texts:
                tokens.append(token)
                texts.add(token.content)
        backend.add_tokens(tokens)


def read_special_tokens(
    path: Path, config: Mapping[str, Any], usual: Mapping[str, str]
) -> SpecialTokens:
    """The special tokens of a directory: `config` is its tokenizer_config.json.

    special_tokens_map.json goes before it and added_tokens.json adds to it, unless it
    has an added_tokens_decoder: then it was written by a version that reads no other
    file. `usual` are those of the tokenizer's class.

    Raises: ValueError for a token that is no text, and for an id that is none.
    """
    files = {path / CONFIG: config}
    if "added_tokens_decoder" not in config:
        path = path / "special_tokens_map.json"
        files[path] = read_object(path)
    named: dict[str, AddedToken | None] = {
        name: special(path, name, text) for name, text in usual.items()
    }
    others: dict[str, AddedToken] = {}
    for file, content in files.items():
        new, more = tokens_of(file, content)
        named |= new
        others |= {token.content: token for token in more}
    ids = ids_of(next(iter(files)), config, {t.content for t in named.values() if t})
    there = {name: token for name, token in named.items() if token is not None}
    return SpecialTokens(there, list(others.values()), ids)


def tokens_of(
    file: Path, content: Mapping[str, Any]
) -> tuple[dict[str, AddedToken | None], Iterable[AddedToken]]:
    """The tokens to which a file gives a name, None for one that it takes away, and others."""
    lists = [content.get(key) or [] for key in LISTS]
    extra = next((each for each in lists if each), [])
    named = {
        name: None if token is None else special(file, name, token)
        for name, token in content.items()
        if name in NAMES or (name.endswith("_token") and is_token(token))
    }
    if isinstance(extra, dict):
        return named | {k: special(file, k, token) for k, token in extra.items()}, []
    if not isinstance(extra, list):
        raise ValueError(
            f"{file} has extra_special_tokens = {extra!r}: it must be a list or an "
            "object of tokens"
        )
    return named, [special(file, LISTS[0], token) for token in extra]


def ids_of(
    file: Path, config: Mapping[str, Any], texts: Iterable[str]
) -> dict[int, AddedToken]:
    """The ids that added_tokens_decoder, or else added_tokens.json, give to tokens."""
    if "added_tokens_decoder" in config:
        given = config["added_tokens_decoder"]
        pairs = [*given.items()] if isinstance(given, dict) else [(given, given)]
    else:
        file = file.with_name("added_tokens.json")
        pairs = [
            (i, {"content": token, "special": token in texts})
            for token, i in read_object(file).items()
        ]
    for i, _ in pairs:
        if not str(i).isdecimal() or int(i) >= 2**32:
            raise ValueError(
                f"{file} gives a token the id {i!r}: it must be a number from 0 on, "
                "below 2**32; download it again"
            )
    return {int(i): added(file, f"token {i}", token) for i, token in pairs}


def special(file: Path, name: str, token: Any) -> AddedToken:
    """A token as a file writes it, which is special since it has a name or is in a list."""
    if not is_token(token):
        return added(file, name, token)
    written = token if isinstance(token, dict) else {"content": token}
    return added(file, name, {**written, "special": True})


def is_token(value: Any) -> bool:
    """Whether a value is a token's text, or an object with it."""
    text = value.get("content") if isinstance(value, dict) else value
    return isinstance(text, str)


def added(file: Path, name: str, token: Any) -> AddedToken:
    """A token's text and how it is looked for in a text.

    Raises: ValueError for what is neither text nor an object with text as its content.
    """
    if not isinstance(token, dict) or not is_token(token):
        raise ValueError(
            f"{file} has {name} = {token!r}: it must be text, or an object with text "
            "as its content"
        )
    flags = {name: token[name] for name in FLAGS if isinstance(token.get(name), bool)}
    return AddedToken(token["content"], special=bool(token.get("special")), **flags)
