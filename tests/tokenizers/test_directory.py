"""A directory's tokenizer is Hugging Face's: ids, text, what a template sees, where it ends."""

import logging

import pytest
import vocabularies
from transformers import AutoTokenizer

from companion import Tokenizer
from companion.tokenizers.chat_template import render_chat

SENTENCEPIECE = vocabularies.tokenizer_json(vocabularies.sentencepiece())
BYTE_LEVEL = vocabularies.tokenizer_json(vocabularies.byte_level("llama-bpe"))
COUNT, BYTE_COUNT = (
    len(metadata["tokenizer.ggml.tokens"])
    for metadata in (vocabularies.sentencepiece(), vocabularies.byte_level(None))
)
LLAMA = {"tokenizer_class": "LlamaTokenizer"}
PADDING = {
    "padding": {
        "strategy": {"Fixed": 8},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<unk>",
    },
    "truncation": {
        "direction": "Right",
        "max_length": 6,
        "strategy": "LongestFirst",
        "stride": 0,
    },
}
BEGINS = {
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
}
WORDS = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {
        "type": "WordLevel",
        "unk_token": "?",
        "vocab": {"the": 0, "cat": 1, ".": 2, "n": 3, "'": 4, "t": 5, "?": 6},
    },
}


def token(content, **changes):
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": content, **plain, "special": True, **changes}


def config(**said):
    return {"tokenizer_config": said}


def sp(**said):
    return SENTENCEPIECE, config(**said)


def bpe(**said):
    return BYTE_LEVEL, config(**said)


# name: tokenizer.json, and the files beside it
DIRECTORIES = {
    "alone": (SENTENCEPIECE, {}),
    "byte-level alone": (BYTE_LEVEL, {}),
    # what tokenizer.json keeps of one call
    "padded and cut": ({**SENTENCEPIECE, **PADDING}, {}),
    "byte-level, padded and cut": ({**BYTE_LEVEL, **PADDING}, {}),
    "Llama, padded and cut": ({**SENTENCEPIECE, **PADDING}, config(**LLAMA)),
    # the class
    "Llama": sp(**LLAMA),
    "Llama fast": sp(tokenizer_class="LlamaTokenizerFast"),
    "class in config.json": (
        SENTENCEPIECE,
        {"config": {"model_type": "llama", "tokenizer_class": "LlamaTokenizer"}},
    ),
    "no class": sp(tokenizer_class="PreTrainedTokenizerFast"),
    "legacy": sp(**LLAMA, legacy=True),
    "not legacy": sp(**LLAMA, legacy=False),
    "no space in front": sp(**LLAMA, add_prefix_space=False),
    "Code Llama": (
        {**SENTENCEPIECE, **BEGINS},
        config(tokenizer_class="CodeLlamaTokenizer"),
    ),
    "Llama 3": bpe(**LLAMA),
    "token that a class takes away": sp(**LLAMA, bos_token=None),
    "begins by tokenizer.json": ({**SENTENCEPIECE, **BEGINS}, config(**LLAMA)),
    "begin that is not asked for": (
        {**SENTENCEPIECE, **BEGINS},
        config(add_bos_token=False),
    ),
    "begin that is asked for elsewhere": sp(
        **LLAMA, add_bos_token=True, add_eos_token=True
    ),
    # where special tokens are kept
    "as text": sp(bos_token="<s>", eos_token="</s>", pad_token="<pad>"),
    "as objects": sp(
        bos_token={"__type": "AddedToken", "content": "<s>"},
        image_token={"__type": "AddedToken", **token("<image>")},
    ),
    "special_tokens_map": (
        SENTENCEPIECE,
        config(bos_token="<a>")
        | {
            "special_tokens_map": {
                "bos_token": token("<s>"),
                "additional_special_tokens": ["<one>"],
                "mask_token": "<pad>",
            }
        },
    ),
    "special_tokens_map alone": (
        SENTENCEPIECE,
        {"special_tokens_map": {"eos_token": "</s>", "image_token": "<image>"}},
    ),
    "added_tokens_decoder": (
        SENTENCEPIECE,
        config(
            bos_token="<s>", added_tokens_decoder={str(COUNT): token("<pad>", rstrip=True)}
        )
        | {
            "special_tokens_map": {"bos_token": "</s>"},
            "added_tokens": {"<image>": COUNT},
        },
    ),
    "added_tokens": (
        SENTENCEPIECE,
        config(eos_token="<pad>")
        | {"added_tokens": {"<pad>": COUNT, "the cat": COUNT + 1}},
    ),
    "byte-level, added_tokens": (
        BYTE_LEVEL,
        {"added_tokens": {"<pad>": BYTE_COUNT, "the cat": BYTE_COUNT + 1}},
    ),
    "Llama, added_tokens": (
        SENTENCEPIECE,
        config(**LLAMA) | {"added_tokens": {"<pad>": COUNT}},
    ),
    "extra by name": sp(extra_special_tokens={"image_token": "<image>"}, eot="<pad>"),
    "extra in a list": sp(
        extra_special_tokens=["<image>"], additional_special_tokens=["<one>"]
    ),
    "additional": sp(additional_special_tokens=["<image>", "the cat"]),
    "flags": sp(
        added_tokens_decoder={
            "1": token("<s>", lstrip=True),
            "2": token("</s>", rstrip=True),
            str(COUNT - 1): token("<tool>", lstrip=True, special=False),
        }
    ),
    "special tokens are split": sp(split_special_tokens=True),
    # decoders
    "no decoder": ({**SENTENCEPIECE, "decoder": None}, {}),
    "Llama, no decoder": ({**SENTENCEPIECE, "decoder": None}, config(**LLAMA)),
    "byte-level, no decoder": ({**BYTE_LEVEL, "decoder": None}, {}),
    "GPT-2, no decoder": (
        {**BYTE_LEVEL, "decoder": None},
        config(tokenizer_class="GPT2Tokenizer"),
    ),
    "spaces are kept": sp(clean_up_tokenization_spaces=True),
    "words": (WORDS, {}),
    "words, spaces are cleaned up": (WORDS, config(clean_up_tokenization_spaces=True)),
    "another sign": (
        {
            **SENTENCEPIECE,
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Metaspace", "replacement": "_", "prepend_scheme": "always",
            },
            "decoder": {
                "type": "Metaspace", "replacement": "_", "prepend_scheme": "always",
            },
        },
        {},
    ),
}  # fmt: skip
TEXTS = [
    "",
    "the cat <s>the</s> <tool> x",
    "<s>[INST] the [/INST] the cat</s>",
    "a<image> <pad>  b <one> the",
    "can ' t . the",
    "👩‍👩‍👧 日本",
]
NAMES = ("bos", "eos", "unk", "pad", "sep", "cls", "mask", "image", "eot", "prefix")
TEMPLATE = "|".join(f"{{{{ {name}_token }}}}" for name in NAMES)
TEMPLATE += "{{ additional_special_tokens }}{% for m in messages %}{{ m }}{% endfor %}"
USER = [{"role": "user", "content": "Hi", "name": None, "thinking": "Well"}]


@pytest.fixture(params=DIRECTORIES)
def both(request, tmp_path):
    logging.getLogger("transformers").setLevel(logging.ERROR)
    written, files = DIRECTORIES[request.param]
    path = vocabularies.write_directory(tmp_path, written, **files)
    return Tokenizer.from_directory(path), AutoTokenizer.from_pretrained(path)


def test_ids_and_text_are_hugging_faces(both):
    ours, theirs = both
    for text in TEXTS:
        for special in (True, False):
            ids = theirs.encode(text, add_special_tokens=special)
            assert ours.encode(text, add_special_tokens=special) == ids, text
            for part in (ids, ids[1:], [*ids[:3], 10**6, *ids[3:]]):
                assert ours.decode(part) == theirs.decode(part)
    for i in range(259, len(theirs) + 2):  # after the bytes
        assert ours.decode([i]) == theirs.decode([i])


def test_template_sees_what_hugging_faces_does(both):
    ours, theirs = both
    theirs.chat_template = ours.chat_template = TEMPLATE
    expected = theirs.apply_chat_template(USER, tokenize=False)
    assert render_chat(TEMPLATE, USER, False, ours.special_tokens) == expected
    ids = theirs.apply_chat_template(USER, return_dict=False)
    assert ours.apply_chat_template(USER, add_generation_prompt=False) == ids


def test_file_alone_keeps_no_call_either(tmp_path):
    path = vocabularies.write_directory(tmp_path, {**SENTENCEPIECE, **PADDING})
    made = Tokenizer.from_file(path / "tokenizer.json")
    for text in ("the", "the cat is there, and the cat"):
        ids = Tokenizer.from_gguf(vocabularies.sentencepiece()).encode(text)
        assert [1, *made.encode(text)] == ids


def test_dropout_of_merges_is_for_training(tmp_path):
    model = {**BYTE_LEVEL["model"], "dropout": 0.9}
    path = vocabularies.write_directory(tmp_path, {**BYTE_LEVEL, "model": model})
    ids = Tokenizer.from_gguf(vocabularies.byte_level("llama-bpe")).encode("the there")
    assert Tokenizer.from_directory(path).encode("the there") == ids[1:]


# ---- where a text ends


@pytest.mark.parametrize(
    ("said", "stop"),
    [
        ({}, ()),
        (LLAMA, (2,)),
        ({"eos_token": "<tool>"}, (COUNT - 1,)),
        ({"eos_token": "<new>"}, (COUNT,)),
        ({**LLAMA, "eos_token": None}, ()),
    ],
    ids=str,
)
@pytest.mark.parametrize("none", [None, -1, [], [-1]], ids=str)
def test_end_that_is_known_by_its_text_alone(tmp_path, said, none, stop):
    path = vocabularies.write_directory(tmp_path, SENTENCEPIECE, **config(**said))
    turn_end = COUNT - 2
    made = Tokenizer.from_directory(path, none)
    assert made.stop_ids == tuple(dict.fromkeys([*stop, turn_end]))


def test_end_by_its_id_goes_before_its_text(tmp_path):
    path = vocabularies.write_directory(tmp_path, SENTENCEPIECE, **config(**LLAMA))
    assert Tokenizer.from_directory(path, [5, 10**6]).stop_ids == (5, 10**6, COUNT - 2)


# ---- ids that the library does not know


@pytest.mark.parametrize("where", ["tokenizer", "added_tokens", "added_tokens_decoder"])
def test_id_of_a_token_that_is_there_already(tmp_path, where):
    written, files = SENTENCEPIECE, {}
    if where == "tokenizer":
        more = [{"id": 900, **token("<|eot_id|>")}]
        written = {**written, "added_tokens": [*written["added_tokens"], *more]}
    elif where == "added_tokens":
        files = {"added_tokens": {"<|eot_id|>": 900}}
    else:
        files = config(added_tokens_decoder={"900": token("<|eot_id|>")})
    made = Tokenizer.from_directory(
        vocabularies.write_directory(tmp_path, written, **files)
    )
    assert made.encode("<|eot_id|>", add_special_tokens=False)[-1] == COUNT - 2
    assert made.decode([900, 460]) == made.decode([COUNT - 2, 460])
    assert made.decode([900]) == "<|eot_id|>"
    assert made.stop_ids == (COUNT - 2, 900)
    assert made.vocab_size == 901


def test_ids_beyond_the_vocabulary_are_no_text():
    made = Tokenizer.from_gguf(vocabularies.sentencepiece())
    the = made.backend.token_to_id("▁the")
    ids = [the, COUNT, the, COUNT + 100, 2**32 - 1]
    assert made.decode(ids) == "the the"
    assert [*made.decode_stream(ids)] == ["the", " the"]
    assert made.decode([COUNT, the]) == made.backend.decode([COUNT, the]) == "the"


@pytest.mark.parametrize("kind", ["sentencepiece", "byte_level"])
def test_two_ids_of_a_gguf_with_one_token(kind):
    arguments = ["gpt-2"] if kind == "byte_level" else []
    metadata = getattr(vocabularies, kind)(*arguments)
    tokens = [*metadata["tokenizer.ggml.tokens"]]
    first, count = tokens.index("th"), len(tokens)
    for name, twin in (("tokens", ["th", "<|eot_id|>"]), ("token_type", [1, 3]),
                       ("scores", [0.0, 0.0])):  # fmt: skip
        if (key := f"tokenizer.ggml.{name}") in metadata:
            metadata[key] = [*metadata[key], *twin]
    made = Tokenizer.from_gguf(metadata)
    assert made.encode("(th", add_special_tokens=False)[-1] == count
    assert made.decode([first]) == made.decode([count]) == "th"
    assert {count + 1, tokens.index("<|eot_id|>")} <= {*made.stop_ids}
    assert made.vocab_size == count + 2


def test_names_of_a_ggufs_tokens():
    ids = {"padding_token_id": 3, "seperator_token_id": 4, "mask_token_id": 2**32 - 1}
    made = Tokenizer.from_gguf(vocabularies.sentencepiece(**ids))
    assert made.special_tokens == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<0x00>",
        "sep_token": "<0x01>",
    }
