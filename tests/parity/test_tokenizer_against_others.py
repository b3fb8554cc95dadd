"""The tokenizer of the bundled SmolLM2, against llama.cpp's and Hugging Face's reading of the same file."""

import json
import re
from pathlib import Path

import pytest

from companion.checkpoints import bundled_path

RECORDED = json.loads((Path(__file__).parent / "tokenizer_llama_cpp.json").read_text(encoding="utf-8"))["cases"]
TEXTS = [case["text"] for case in RECORDED]
NO_TOKEN = "\x04", "\x06", "\U00040000"


@pytest.fixture(scope="module")
def their_tokenizer():
    from transformers import AutoTokenizer

    path = bundled_path()
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


@pytest.mark.parametrize("case", RECORDED, ids=[ascii(text[:20]) for text in TEXTS])
def test_ids_are_those_of_llama_cpp(bundled_tokenizer, case):
    assert bundled_tokenizer.encode(case["text"]) == case["ids"]


@pytest.mark.parametrize("text", [t for t in TEXTS if not any(c in t for c in NO_TOKEN)], ids=lambda t: ascii(t[:20]))
def test_text_comes_back(bundled_tokenizer, text):
    assert bundled_tokenizer.decode(bundled_tokenizer.encode(text)) == text
    assert "".join(bundled_tokenizer.decode_stream(bundled_tokenizer.encode(text))) == text


# The file says `tokenizer.ggml.pre = smollm`: every digit is split off before GPT-2's rule is applied. llama.cpp does so;
# Hugging Face's conversion of a GGUF leaves it out, which shows where two spaces or line breaks stand before a digit, and
# in digits that are not ASCII.
def is_split_alike(text):
    return not re.search(r"\s\s\d", text) and not any(c.isnumeric() and not c.isascii() for c in text)


@pytest.mark.parametrize("text", [t for t in TEXTS if is_split_alike(t)], ids=lambda t: ascii(t[:20]))
def test_ids_are_those_of_hugging_face(bundled_tokenizer, their_tokenizer, text):
    ids = bundled_tokenizer.encode(text)
    assert ids == their_tokenizer(text).input_ids
    assert bundled_tokenizer.decode(ids) == their_tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_end_of_text_is_hugging_faces(bundled_tokenizer, their_tokenizer):
    assert bundled_tokenizer.stop_ids == (their_tokenizer.eos_token_id,)
    assert bundled_tokenizer.vocab_size == len(their_tokenizer)
