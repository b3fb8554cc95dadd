"""What the files beside a tokenizer.json say: chat template, special tokens, stop tokens."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True)
class Settings:
    """A directory's chat template, the tokens it may name, and where a text ends."""

    chat_template: str | None
    special_tokens: dict[str, str]
    stop_ids: list[int]


def read_settings(path: Path, eos_token_id: Any = None) -> Settings:
    """The settings of a checkpoint directory; `eos_token_id` is its config.json's.

    Raises: ValueError for a file that is not what its name says.
    """
    config = read_object(path / "tokenizer_config.json")
    generation = read_object(path / "generation_config.json")
    stop = generation.get("eos_token_id")
    stop = eos_token_id if stop is None else stop
    stop_ids = stop if isinstance(stop, list) else [] if stop is None else [stop]
    if not all(type(i) is int for i in stop_ids):
        raise ValueError(
            f"{path} has eos_token_id {stop!r}: it must be an integer or a list of them"
        )
    special_tokens = {
        name: token_text(path / "tokenizer_config.json", name, config[name])
        for name in SPECIAL
        if config.get(name) is not None
    }
    return Settings(read_template(path, config), special_tokens, stop_ids)


def token_text(path: Path, name: str, token: Any) -> str:
    """A special token's text, which may be written as an object's "content"."""
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        raise ValueError(
            f"{path} has {name} = {token!r}: it must be text, or an object with text "
            "as its content"
        )
    return text


def read_template(path: Path, config: dict[str, Any]) -> str | None:
    """chat_template.jinja, or else the one in tokenizer_config.json, "default" of several."""
    file = path / "chat_template.jinja"
    if file.exists():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file} is not UTF-8 ({error}): download it again"
            ) from error
    template = config.get("chat_template")
    if isinstance(template, list):
        try:
            named = {entry["name"]: entry["template"] for entry in template}
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"{path / 'tokenizer_config.json'} has a chat_template that is not a "
                "list of objects with name and template"
            ) from error
        if "default" not in named:
            raise ValueError(
                f"{path / 'tokenizer_config.json'} has the chat templates "
                f"{', '.join(map(repr, named))} and none named 'default': write the "
                "one to use to chat_template.jinja"
            )
        template = named["default"]
    if template is not None and not isinstance(template, str):
        raise ValueError(
            f"{path / 'tokenizer_config.json'} has a chat_template that is a "
            f"{type(template).__name__}: it must be text"
        )
    return template


def read_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one when there is no file."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}: expected a JSON object"
        )
    return content
