"""The text of a tokenizer.json's decoder, whole and as it arrives, is that of the library."""

import json

import pytest
import vocabularies
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from companion import Tokenizer

SIGN = "▁"
RESTORE = {"type": "Replace", "pattern": {"String": SIGN}, "content": " "}
TWO_SIGNS = {"type": "Replace", "pattern": {"String": SIGN * 2}, "content": "\t"}
BYTES, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}


def strip(sign=" ", start=1, stop=0):
    return {"type": "Strip", "content": sign, "start": start, "stop": stop}


def metaspace(scheme, sign=SIGN):
    return {"type": "Metaspace", "replacement": sign, "prepend_scheme": scheme}


DECODERS = {
    "none": None,
    "Llama 2": [RESTORE, BYTES, FUSE, strip()],
    "no prefix": [RESTORE, BYTES, FUSE],
    "two spaces": [RESTORE, BYTES, FUSE, strip(start=2)],
    "letter": [RESTORE, FUSE, strip("t")],
    "each": [RESTORE, strip(), BYTES, FUSE],
    "nothing": [],
    "Fuse": FUSE,
    "always": metaspace("always"),
    "first": metaspace("first"),
    "never": metaspace("never"),
    "old": {"type": "Metaspace", "replacement": SIGN, "add_prefix_space": True},
    "bytes first": [BYTES, metaspace("always")],
    "bytes last": [metaspace("first"), BYTES, FUSE],
    "two signs": [TWO_SIGNS, RESTORE],
    "two signs in the text": [FUSE, TWO_SIGNS, RESTORE],
    "ByteLevel": BYTE_LEVEL,
}


def with_decoder(decoder, metadata=None):
    if isinstance(decoder, list):
        decoder = {"type": "Sequence", "decoders": decoder}
    written = vocabularies.tokenizer_json(metadata or vocabularies.sentencepiece())
    backend = Backend.from_str(json.dumps({**written, "decoder": decoder}))
    return Tokenizer(backend)


TOKENIZERS = {name: with_decoder(decoder) for name, decoder in DECODERS.items()}
VOCABULARY = range(TOKENIZERS["none"].vocab_size + 3)  # three are beyond it
TEXT = [
    i for i in VOCABULARY if not 3 + 0x80 <= i < 3 + 0x100
]  # no part of a character
START = [TOKENIZERS["none"].backend.token_to_id(t) for t in (SIGN * 2, SIGN, "t", "th")]


@pytest.mark.parametrize("name", DECODERS)
@given(
    ids=st.lists(st.sampled_from([*TEXT, *START * 20]), max_size=9),
    word=st.sampled_from(["", "日", "🙂"]),
)
def test_text_is_the_librarys(name, ids, word):
    tokenizer = TOKENIZERS[name]
    ids = [*ids, *(3 + byte for byte in word.encode()), *ids[:2]]
    text = tokenizer.backend.decode(ids, skip_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert "".join(tokenizer.decode_stream(iter(ids))) == text


@pytest.mark.parametrize("name", DECODERS)
@given(
    ids=st.lists(st.sampled_from([*TEXT, *START * 20]), max_size=9),
    count=st.integers(0, 9),
)
def test_text_after_others_goes_on_from_theirs(name, ids, count):
    tokenizer = TOKENIZERS[name]
    pieces = [
        "".join(tokenizer.decode_stream(ids[:count])),
        "".join(tokenizer.decode_stream(ids[count:], after=ids[:count])),
    ]
    whole = tokenizer.decode(ids)
    assert whole.endswith(pieces[1])
    if name != "two signs in the text":  # of which one may end what came before
        assert "".join(pieces) == whole


@pytest.mark.parametrize("sign", ["_", "Ġ", "·"])
@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_another_space_sign(sign, scheme):
    tokenizer = with_decoder(metaspace(scheme, sign))
    tokens = [f"{sign}the", f"{sign}cat{sign}"]
    tokenizer.backend.add_tokens([AddedToken(t, normalized=False) for t in tokens])
    ids = [tokenizer.backend.token_to_id(token) for token in tokens]
    expected = {"always": "the cat ", "first": "the cat ", "never": " the cat "}
    assert tokenizer.decode(ids) == expected[scheme]
    assert tokenizer.backend.decode(ids) == expected[scheme]


@pytest.mark.parametrize(
    ("name", "text"),
    [("Llama 2", "té▁"), ("bytes first", "té "), ("bytes last", "té▁")],
)
def test_space_sign_made_of_bytes_is_one_where_the_steps_say_so(name, text):
    tokenizer = TOKENIZERS[name]
    ids = [START[2], *(3 + byte for byte in "é▁".encode())]
    assert tokenizer.decode(ids) == tokenizer.backend.decode(ids) == text


def test_byte_that_is_part_of_no_character():
    # the library gives a sign for each byte of a run with a damaged character, whole
    # characters of it too: those are written here before the damaged one is known
    tokenizer = TOKENIZERS["Llama 2"]
    cut = [3 + byte for byte in "🙂".encode()[:3]]
    assert tokenizer.decode(cut) == tokenizer.backend.decode(cut) == "\ufffd" * 3


def test_words_without_a_decoder():
    model = {
        "type": "WordLevel",
        "unk_token": "?",
        "vocab": {"the": 0, "cat": 1, "?": 2},
    }
    split = {"type": "Whitespace"}
    written = {
        "version": "1.0",
        "model": model,
        "pre_tokenizer": split,
        "added_tokens": [],
    }
    tokenizer = Tokenizer(Backend.from_str(json.dumps(written)))
    assert tokenizer.encode("the cat") == [0, 1]
    assert list(tokenizer.decode_stream([0, 1, 0])) == ["the", " cat", " the"]


def test_added_token_is_its_own_text_in_a_byte_level_vocabulary():
    tokenizer = with_decoder(BYTE_LEVEL, vocabularies.byte_level("gpt-2"))
    tokenizer.backend.add_tokens(["né"])
    tokenizer = Tokenizer(tokenizer.backend)
    assert tokenizer.decode(tokenizer.encode("a né")) == "a né"


@pytest.mark.parametrize(
    ("decoder", "pieces"),
    [
        ([RESTORE, FUSE, strip(start=0, stop=2)], [" the", "   the"]),
        ([RESTORE, FUSE, strip("e", start=0, stop=1)], [" th", "e  ", " th"]),
        ([RESTORE, strip(" ", 1, 1), FUSE], ["the", "the"]),
    ],
    ids=str,
)
def test_end_is_held_back_while_it_may_be_stripped(decoder, pieces):
    tokenizer = with_decoder(decoder)
    the, spaces = (tokenizer.backend.token_to_id(t) for t in ("▁the", SIGN * 2))
    assert [*tokenizer.decode_stream([the, spaces, the])] == pieces
    assert tokenizer.backend.decode([the, spaces, the]) == "".join(pieces)
