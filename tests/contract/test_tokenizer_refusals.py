import json
import re

import numpy as np
import pytest
import tiny
import tiny_files
import torch
import vocabularies
from refusal import said

from companion import Tokenizer, load


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_gguf(tiny_files.gguf_metadata(tiny.config()))


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.0, True, "1", None, [1]], ids=str)
def test_what_is_no_id(tokenizer, wrong):
    quotes = said(f"token id {wrong!r}".rstrip("]'"), "integer from 0", "2**32")
    with pytest.raises(ValueError, match=quotes):
        tokenizer.decode([1, wrong, 2])
    with pytest.raises(ValueError, match=quotes):
        list(tokenizer.decode_stream([1, wrong, 2]))
    with pytest.raises(ValueError, match=quotes):
        list(tokenizer.decode_stream([1], after=[wrong]))


@pytest.mark.parametrize("ids", [5, "1 2", b"12", None], ids=str)
def test_ids_that_are_no_row(tokenizer, ids):
    with pytest.raises(ValueError, match=said(f"ids is {ids!r}", "list of token ids")):
        tokenizer.decode(ids)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (1, 1), (), (1, 2, 3)], ids=str)
def test_ids_of_a_batch(tokenizer, shape):
    ids = torch.full(shape, 40)
    with pytest.raises(
        ValueError, match=said(f"ids is {shape}".rstrip(")"), "one row")
    ):
        tokenizer.decode(ids)
    if len(shape) == 2:  # the remedy that is named
        with pytest.raises(ValueError, match=said("ids[0] is its first row")):
            tokenizer.decode(ids)
        assert tokenizer.decode(ids[0]) == tokenizer.decode([40] * shape[1])


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        (b"the", ("text is a bytes", "text.decode('utf-8')")),
        (["the", "he"], ("text is a list", "encode each")),
        (None, ("text is a NoneType", "must be text")),
        (5, ("text is a int", "must be text")),
    ],
    ids=str,
)
def test_what_is_no_text(tokenizer, text, quotes):
    with pytest.raises(ValueError, match=said(*quotes)):
        tokenizer.encode(text)


@pytest.mark.parametrize(
    ("text", "quotes", "right"),
    [
        # Latin-1 as the arguments of a program are read, and files with surrogateescape
        (
            b"caf\xe9 \xc4".decode("utf-8", "surrogateescape"),
            ("character 3, '\\udce9'", "byte 0xE9", "most likely, Latin-1"),
            "café Ä",
        ),
        # JavaScript and JSON write a character as two
        ("a \ud83d\ude42", ("character 2, '\\ud83d'", "two halves"), "a 🙂"),
        ("ab\ud83d", ("character 2, '\\ud83d'", "other half is missing"), "ab?"),
        ("\ude42", ("character 0, '\\ude42'", "other half is missing"), "?"),
        ("\ude42\ude42", ("character 0", "other half is missing"), "??"),
    ],
)
def test_text_that_is_no_unicode(tokenizer, text, quotes, right):
    with pytest.raises(ValueError, match=said(*quotes)) as refused:
        tokenizer.encode(text)
    remedy = re.search(r"text\.encode\(.*?\)\.decode\(.*?\)", str(refused.value))
    assert eval(remedy[0], {"text": text}) == right
    assert tokenizer.decode(tokenizer.encode(right)) == right


@pytest.mark.parametrize("kind", [np.str_, type("Name", (str,), {})])
def test_text_of_another_class(tokenizer, kind):
    assert tokenizer.encode(kind("the")) == tokenizer.encode("the")


@pytest.mark.parametrize("unknown", ["?", "the"])
def test_word_that_is_not_in_the_vocabulary(tmp_path, unknown):
    model = {"type": "WordLevel", "vocab": {"the": 0}, "unk_token": unknown}
    split = {"type": "Whitespace"}
    written = {"version": "1.0", "model": model, "pre_tokenizer": split}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**written, "added_tokens": []}))
    made = Tokenizer.from_file(path)
    assert made.encode("the the") == [0, 0]
    if unknown == "the":  # the remedy that is named
        assert made.encode("the cat") == [0, 0]
    else:
        with pytest.raises(ValueError, match=said("'the cat'", "unk_token")):
            made.encode("the cat")


# ---- a GGUF


def test_other_kind_of_tokenizer():
    known = "byte-level BPE ('gpt2')", "SentencePiece ('llama')"
    with pytest.raises(ValueError, match=said("'bert'", *known)):
        Tokenizer.from_gguf({"tokenizer.ggml.model": "bert"})
    with pytest.raises(ValueError, match=said("None", *known)):
        Tokenizer.from_gguf({})


@pytest.mark.parametrize("split", ["deepseek-llm", "superbpe", "kimi-k2", "nonsense"])
def test_other_way_to_split_text(split):
    quotes = said(f"'{split}'", "'gpt-2'", "'llama-bpe'", "'smollm'", "'tekken'")
    with pytest.raises(ValueError, match=quotes):
        Tokenizer.from_gguf(vocabularies.byte_level(split))


def test_merges_of_tokens_that_are_not_there():
    wrong = vocabularies.byte_level("gpt-2", merges=["no such"])
    with pytest.raises(ValueError, match=said("merges do not fit", "tokens")):
        Tokenizer.from_gguf(wrong)


def test_scores_of_another_number():
    with pytest.raises(ValueError, match=said("2 scores", "tokens", "one for each")):
        Tokenizer.from_gguf(vocabularies.sentencepiece(scores=[1.0, 2.0]))


def test_kinds_of_another_number():
    with pytest.raises(ValueError, match=said("tokens", "3 token types")):
        Tokenizer.from_gguf(vocabularies.sentencepiece(token_type=[1, 1, 1]))


@pytest.mark.parametrize(
    ("model", "missing"),
    [
        ("byte_level", "tokens"),
        ("byte_level", "merges"),
        ("byte_level", "token_type"),
        ("sentencepiece", "tokens"),
        ("sentencepiece", "scores"),
    ],
)
def test_missing_metadata(model, missing):
    arguments = ["gpt-2"] if model == "byte_level" else []
    metadata = getattr(vocabularies, model)(*arguments, **{missing: None})
    with pytest.raises(KeyError, match=f"tokenizer.ggml.{missing}"):
        Tokenizer.from_gguf(metadata)


@pytest.mark.parametrize("name", ["bos", "eos"])
def test_token_to_add_that_is_not_named(name):
    changes = {f"add_{name}_token": True, f"{name}_token_id": None}
    with pytest.raises(KeyError, match=f"tokenizer.ggml.{name}_token_id"):
        Tokenizer.from_gguf(vocabularies.byte_level("gpt-2", **changes))


@pytest.mark.parametrize("name", ["bos", "eos", "eot"])
def test_special_token_outside_the_vocabulary(name):
    quotes = said(f"tokenizer.ggml.{name}_token_id = 99999", "tokens")
    with pytest.raises(ValueError, match=quotes):
        Tokenizer.from_gguf(vocabularies.sentencepiece(**{f"{name}_token_id": 99999}))


@pytest.mark.parametrize("wrong", ["1", 1.0, True, [1], -1])
@pytest.mark.parametrize("name", ["bos", "eos", "unknown"])
def test_special_token_that_is_no_id(name, wrong):
    quotes = said(f"tokenizer.ggml.{name}_token_id = {wrong!r}".rstrip("]'"), "tokens")
    with pytest.raises(ValueError, match=quotes):
        Tokenizer.from_gguf(vocabularies.sentencepiece(**{f"{name}_token_id": wrong}))


@pytest.mark.parametrize("wrong", ["no", 0, 1, []])
@pytest.mark.parametrize("name", ["add_bos_token", "add_eos_token", "add_space_prefix"])
def test_question_answered_neither_yes_nor_no(name, wrong):
    metadata = vocabularies.sentencepiece(**{name: wrong})
    with pytest.raises(ValueError, match=said(f"tokenizer.ggml.{name}", "true or")):
        Tokenizer.from_gguf(metadata)


@pytest.mark.parametrize("wrong", [5, ["{{ 1 }}"], True])
def test_ggufs_chat_template_that_is_no_text(wrong):
    metadata = {**vocabularies.sentencepiece(), "tokenizer.chat_template": wrong}
    with pytest.raises(ValueError, match=said("tokenizer.chat_template", "be text")):
        Tokenizer.from_gguf(metadata)


@pytest.mark.parametrize("name", ["model", "pre"])
def test_kind_that_is_a_list(name):
    with pytest.raises(ValueError, match=said("['gpt2'"[:-1] + "'", "supported")):
        Tokenizer.from_gguf(vocabularies.byte_level("gpt-2", **{name: ["gpt2"]}))


# ---- files


def test_missing_file(tmp_path):
    with pytest.raises(
        ValueError, match=said(tmp_path / "tokenizer.json", "not a tokenizer.json")
    ):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


FUSE, REPLACE = {"type": "Fuse"}, {"type": "Replace", "content": " "}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
METASPACE = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}
BYTES = {"type": "ByteFallback"}


@pytest.mark.parametrize(
    "steps",
    [
        [{"type": "WordPiece", "prefix": "##", "cleanup": True}],
        [{"type": "BPEDecoder", "suffix": "</w>"}],
        [
            {
                "type": "CTC",
                "pad_token": "a",
                "word_delimiter_token": "|",
                "cleanup": True,
            }
        ],
        [{**REPLACE, "pattern": {"Regex": "_+"}}],
        [{**REPLACE, "pattern": {"String": ""}}],
        [FUSE, METASPACE],
        [FUSE, BYTES],
        [BYTES, STRIP],
        [FUSE, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}],
    ],
    ids=str,
)
def test_step_that_is_not_computed(tmp_path, tokenizer, steps):
    decoder = {"type": "Sequence", "decoders": steps}
    written = {**json.loads(tokenizer.backend.to_str()), "decoder": decoder}
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))
    made = Tokenizer.from_file(tmp_path / "tokenizer.json")
    ids = made.encode("a the")
    assert ids == tokenizer.encode("a the")
    kinds = ", ".join(step["type"] for step in steps)
    remedy = "tokenizer.backend.decode(ids, skip_special_tokens=False)"
    with pytest.raises(ValueError, match=said(f"decodes by {kinds}", remedy)):
        made.decode(ids)
    taken = []
    with pytest.raises(ValueError, match=said(steps[-1]["type"], "not computed")):
        list(made.decode_stream(taken.append(i) or i for i in ids))
    assert taken == []
    assert isinstance(eval(remedy, {"tokenizer": made, "ids": ids}), str)


def test_weights_load_with_a_tokenizer_that_cannot_decode(tmp_path, tokenizer):
    tiny_files.write_directory(tmp_path, tiny.model())
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    written = {**json.loads(tokenizer.backend.to_str()), "decoder": decoder}
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))
    model, made = load(tmp_path, device="cpu")
    assert model.config == tiny.config()
    assert made.encode("a the") == tokenizer.encode("a the")


@pytest.fixture
def directory(tmp_path, tokenizer):
    tokenizer.backend.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("content", "quotes"),
    [("{", ("not JSON",)), ("[1]", ("holds a list", "JSON object"))],
)
def test_damaged_settings(directory, name, content, quotes):
    (directory / name).write_text(content)
    with pytest.raises(ValueError, match=said(directory / name, *quotes)):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("stop", ["</s>", [1, "</s>"], 1.5, True])
def test_stop_token_that_is_no_id(directory, stop):
    content = json.dumps({"eos_token_id": stop})
    (directory / "generation_config.json").write_text(content)
    with pytest.raises(ValueError, match=said("eos_token_id", repr(stop).strip("[']"))):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize(
    ("template", "quotes"),
    [
        ({"default": "x"}, ("a dict", "must be text")),
        ([{"template": "x"}], ("a list of", "name and template")),
        (["x"], ("a list of", "name and template")),
        ([{"name": "default", "template": 5}], ("a list", "must be text")),
    ],
    ids=str,
)
def test_chat_template_of_another_kind(directory, template, quotes):
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({"chat_template": template}))
    with pytest.raises(ValueError, match=said(path, *quotes)):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("token", [5, True, ["<s>"], {"x": 1}, {"content": 5}], ids=str)
@pytest.mark.parametrize("name", ["bos_token", "eos_token", "unk_token", "pad_token"])
def test_special_token_that_is_no_text(directory, name, token):
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({name: token}))
    with pytest.raises(ValueError, match=said(path, name, "must be text", "content")):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("name", ["special_tokens_map.json", "tokenizer_config.json"])
@pytest.mark.parametrize("tokens", [[5], [{"x": 1}], "<s>", {"a_token": 5}], ids=str)
def test_list_of_special_tokens_that_is_none(directory, name, tokens):
    path = directory / name
    path.write_text(json.dumps({"extra_special_tokens": tokens}))
    with pytest.raises(ValueError, match=said(path, "must be")):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "x", None, 2**32, [1]], ids=str)
def test_added_token_whose_id_is_none(directory, wrong):
    path = directory / "added_tokens.json"
    path.write_text(json.dumps({"<pad>": wrong}))
    with pytest.raises(ValueError, match=said(path, f"the id {wrong!r}".rstrip("]'"))):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("wrong", [[], "x", 5, None, {"a": {}}, {"5": "<s>"}], ids=str)
def test_added_tokens_decoder_that_is_none(directory, wrong):
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({"added_tokens_decoder": wrong}))
    with pytest.raises(ValueError, match=said(path, "must be")):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize(
    "name",
    [
        "chat_template.jinja",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.json",
    ],
)
def test_file_in_another_encoding(directory, name):
    path = directory / name
    path.write_bytes('{"é": 5}'.encode("latin-1"))
    quotes = said(path, "not UTF-8", "Latin-1", f"iconv -f LATIN1 -t UTF-8 {name}")
    with pytest.raises(ValueError, match=quotes):
        Tokenizer.from_directory(directory)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark_are_read(directory, encoding):
    written = (directory / "tokenizer.json").read_text(encoding="utf-8")
    (directory / "tokenizer.json").write_text(written, encoding=encoding)
    config = json.dumps({"bos_token": "<né>"}, ensure_ascii=False)
    (directory / "tokenizer_config.json").write_text(config, encoding=encoding)
    (directory / "chat_template.jinja").write_text("{{ bos_token }}", encoding=encoding)
    made = Tokenizer.from_directory(directory)
    assert made.special_tokens == {"bos_token": "<né>"}
    assert made.chat_template == "{{ bos_token }}"
