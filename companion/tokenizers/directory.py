"""A directory's tokenizer: tokenizer.json, and what the files beside it add to it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import models

from companion.tokenizers.classes import class_of, complete, usual_tokens
from companion.tokenizers.decoding import CLEAN_UP
from companion.tokenizers.files import read_object, read_text
from companion.tokenizers.special_tokens import CONFIG, read_special_tokens
from companion.tokenizers.stop_tokens import stop_ids_of, with_turn_ends
from companion.tokenizers.template_files import read_template


def open_directory(path: Path, eos_token_id: Any) -> dict[str, Any]:
    """What `Tokenizer` is made of; `eos_token_id` is config.json's.

    Raises: ValueError for a file that is not what its name says.
    """
    backend, given = read_backend(path / "tokenizer.json")
    padding = backend.padding
    forget_calls(backend)
    config = read_object(path / CONFIG)
    name = class_of(config, read_object(path / "config.json"))
    usual = usual_tokens(name, backend)
    if padding:
        usual = {"pad_token": padding["pad_token"]} | usual
    special = read_special_tokens(path, config, usual)
    complete(backend, name, config)
    special.add_to(backend)
    backend.encode_special_tokens = config.get("split_special_tokens") is True
    ids = {i: token.content for i, token in special.ids.items()}
    repeated = unknown_ids(backend, {**ids, **given})
    stops = stop_ids_of(path, eos_token_id)
    if not stops:
        end = backend.token_to_id(special.texts.get("eos_token", ""))
        stops = [] if end is None else [end]
    cleans_up = config.get("clean_up_tokenization_spaces") is True
    return {
        "backend": backend,
        "stop_ids": with_turn_ends(stops, backend, repeated),
        "chat_template": read_template(path, config),
        "special_tokens": special.texts,
        "repeated": repeated,
        # of BPE it would take spaces that are there, and Hugging Face does not either
        "clean_up": CLEAN_UP if cleans_up and not is_bpe(backend) else {},
    }


def read_backend(path: Path) -> tuple[Backend, dict[int, str]]:
    """The backend of a tokenizer.json, and the ids that the file gives to added tokens.

    Raises: ValueError for a file that is none.
    """
    try:
        text = read_text(path)
        backend = Backend.from_str(text)
    except ValueError:
        raise
    except Exception as error:  # OSError, and the library raises bare Exception
        raise ValueError(f"{path} is not a tokenizer.json: {error}") from error
    # this part alone, as Python takes as long for the rest as the library
    key = re.search(r'"added_tokens"\s*:\s*(?=\[)', text)
    listed = json.JSONDecoder().raw_decode(text, key.end())[0] if key else []
    return backend, {token["id"]: token["content"] for token in listed}


def forget_calls(backend: Backend) -> None:
    """Take away what a tokenizer.json keeps of calls before it was saved.

    Truncation and padding were the last call's, the dropout of merges is for training:
    they say nothing of the texts encoded here.
    """
    backend.no_truncation()
    backend.no_padding()
    if is_bpe(backend):
        backend.model.dropout = None


def is_bpe(backend: Backend) -> bool:
    """Whether the tokens are made by merging pairs."""
    return isinstance(backend.model, models.BPE)


def unknown_ids(backend: Backend, ids: Mapping[int, str]) -> dict[int, str]:
    """Those of the ids that the backend has no token for: it keeps one id of a token."""
    unknown = {}
    for i, content in ids.items():
        if backend.id_to_token(i) is None:
            kept = backend.token_to_id(content)
            token = None if kept is None else backend.id_to_token(kept)
            unknown[i] = content if token is None else token
    return unknown
