import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import Tokenizer

TEXTS = [
    "",
    " ",
    "The capital of France is",
    "  two  spaces  ",
    "tab\tnewline\nCRLF\r\n",
    "x = 10 **  2  # 2024",
    "naïve café, e\u0301",
    "日本語 und Deutsch",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    "<|im_start|>user\nHi<|im_end|>\n",
    "\x00\x07\x7f",
    "a" * 500,
]


def tiny_metadata(**changes):
    return {
        **tiny.gguf_metadata(tiny.config()),
        **{f"tokenizer.ggml.{k}": v for k, v in changes.items()},
    }


@pytest.mark.parametrize("text", TEXTS)
def test_decode_undoes_encode(text, bundled_tokenizer):
    ids = bundled_tokenizer.encode(text)
    assert all(0 <= i < bundled_tokenizer.vocab_size for i in ids)
    assert bundled_tokenizer.decode(ids) == text


# SmolLM2 has no token for these control characters, nor for the planes 4 to 11
@given(
    st.text(
        st.characters(
            codec="utf-8",
            max_codepoint=0x3FFFF,
            exclude_characters="\x04\x06\x13\x14\x16\x1d",
        )
    )
)
def test_decode_undoes_encode_of_any_text(bundled_tokenizer, text):
    assert bundled_tokenizer.decode(bundled_tokenizer.encode(text)) == text


@given(st.lists(st.integers(0, 49151), max_size=12))
def test_stream_joins_to_what_decode_gives_for_any_ids(bundled_tokenizer, ids):
    assert "".join(bundled_tokenizer.decode_stream(ids)) == bundled_tokenizer.decode(
        ids
    )


@pytest.mark.parametrize("text", TEXTS)
def test_stream_joins_to_what_decode_gives(text, bundled_tokenizer):
    ids = bundled_tokenizer.encode(text)
    assert "".join(bundled_tokenizer.decode_stream(ids)) == text


def test_stream_waits_until_a_character_is_whole(bundled_tokenizer):
    ids = bundled_tokenizer.encode("🏳️‍🌈 日本")
    assert len(ids) > len("🏳️‍🌈 日本")
    pieces = list(bundled_tokenizer.decode_stream(ids))
    assert "".join(pieces) == "🏳️‍🌈 日本"
    assert not any("\ufffd" in piece for piece in pieces)


def test_stream_yields_each_piece_at_once(bundled_tokenizer):
    taken = []

    def arriving():
        for i in bundled_tokenizer.encode("The capital of France"):
            taken.append(i)
            yield i

    stream = bundled_tokenizer.decode_stream(arriving())
    assert next(stream) == "The"
    assert len(taken) == 1
    assert list(stream) == [" capital", " of", " France"]


def test_stream_ends_with_what_never_became_whole(bundled_tokenizer):
    ids = bundled_tokenizer.encode("a👩")[:-1]
    assert bundled_tokenizer.decode(ids).startswith("a\ufffd")
    assert "".join(bundled_tokenizer.decode_stream(ids)) == bundled_tokenizer.decode(
        ids
    )


def test_decode_takes_a_tensor_too(bundled_tokenizer):
    ids = bundled_tokenizer.encode("The capital of France")
    assert bundled_tokenizer.decode(torch.tensor(ids)) == "The capital of France"


def test_special_tokens_in_a_text_are_single_tokens(bundled_tokenizer):
    ids = bundled_tokenizer.encode("<|im_start|>user")
    assert ids[0] == 1
    assert bundled_tokenizer.decode(ids) == "<|im_start|>user"


def test_bundled_tokenizer_ends_a_text_with_im_end(bundled_tokenizer):
    assert bundled_tokenizer.vocab_size == 49152
    assert [bundled_tokenizer.decode([i]) for i in bundled_tokenizer.stop_ids] == [
        "<|im_end|>"
    ]
    assert bundled_tokenizer.encode("") == []


# ---- from a GGUF's metadata


def words(tokenizer, text):
    return [tiny.TOKENS[i] for i in tokenizer.encode(text)]


def test_merges_are_applied():
    assert words(Tokenizer.from_gguf(tiny_metadata()), "a the he") == [
        "a",
        "Ġthe",
        "Ġ",
        "he",
    ]


def test_smollm_takes_each_digit_by_itself():
    tokens = [*tiny.BYTES, "Ġ1", "ĠĠ", "12"]
    changes = {
        "tokens": tokens,
        "token_type": [1] * len(tokens),
        "merges": ["Ġ 1", "Ġ Ġ", "1 2"],
    }
    cuts = {}
    for split in ("smollm", "gpt-2"):
        tokenizer = Tokenizer.from_gguf(tiny_metadata(pre=split, **changes))
        cuts[split] = [tokens[i] for i in tokenizer.encode("a  12")]
    assert cuts == {"smollm": ["a", "ĠĠ", "1", "2"], "gpt-2": ["a", "Ġ", "Ġ1", "2"]}


def test_begin_of_text_is_put_in_front_where_asked_for():
    begin = tiny.TOKENS.index("<|start|>")
    assert Tokenizer.from_gguf(tiny_metadata(bos_token_id=begin)).encode("he") == [
        tiny.TOKENS.index("he")
    ]
    with_begin = Tokenizer.from_gguf(
        tiny_metadata(bos_token_id=begin, add_bos_token=True)
    )
    assert words(with_begin, "he") == ["<|start|>", "he"]
    assert words(with_begin, "") == ["<|start|>"]


def test_stop_ids_are_the_end_of_text_token():
    assert Tokenizer.from_gguf(tiny_metadata()).stop_ids == (tiny.END,)
    metadata = tiny_metadata()
    del metadata["tokenizer.ggml.eos_token_id"]
    assert Tokenizer.from_gguf(metadata).stop_ids == ()


# ---- from a file


def test_file_gives_the_same_tokenizer(tmp_path, bundled_tokenizer):
    bundled_tokenizer.backend.save(str(tmp_path / "tokenizer.json"))
    from_file = Tokenizer.from_file(tmp_path / "tokenizer.json", stop_ids=[2])
    assert from_file.stop_ids == (2,)
    for text in TEXTS:
        assert from_file.encode(text) == bundled_tokenizer.encode(text)
        assert from_file.decode(from_file.encode(text)) == text
