import pytest
import tiny
from refusal import said

from companion import Tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_gguf(tiny.gguf_metadata(tiny.config()))


@pytest.mark.parametrize("wrong", [-1, len(tiny.TOKENS), 10**9])
def test_id_outside_the_vocabulary(tokenizer, wrong):
    quotes = said(f"token id {wrong}", f"{len(tiny.TOKENS)} tokens", f"0 to {tiny.END}")
    with pytest.raises(ValueError, match=quotes):
        tokenizer.decode([1, wrong, 2])


def test_missing_file(tmp_path):
    with pytest.raises(
        ValueError, match=said(tmp_path / "tokenizer.json", "not a tokenizer.json")
    ):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_other_kind_of_tokenizer():
    with pytest.raises(ValueError, match=said("'bert'", "byte-level BPE")):
        Tokenizer.from_gguf({"tokenizer.ggml.model": "bert"})
    with pytest.raises(ValueError, match=said("None", "byte-level BPE")):
        Tokenizer.from_gguf({})
    with pytest.raises(ValueError, match=said("'qwen2'", "'gpt-2', 'smollm'")):
        Tokenizer.from_gguf(
            {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"}
        )
