import json

import pytest
import tiny
import tiny_files
import vocabularies
from refusal import said

from companion import Tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_gguf(tiny_files.gguf_metadata(tiny.config()))


@pytest.mark.parametrize("wrong", [-1, len(tiny_files.TOKENS), 10**9])
def test_id_outside_the_vocabulary(tokenizer, wrong):
    quotes = said(
        f"token id {wrong}", f"{len(tiny_files.TOKENS)} tokens", f"0 to {tiny.END}"
    )
    with pytest.raises(ValueError, match=quotes):
        tokenizer.decode([1, wrong, 2])
    with pytest.raises(ValueError, match=quotes):
        list(tokenizer.decode_stream([1, wrong, 2]))
    with pytest.raises(ValueError, match=quotes):
        list(tokenizer.decode_stream([1], after=[wrong]))


def test_text_that_is_no_unicode(tokenizer):
    with pytest.raises(ValueError, match=said("character 2", "surrogate")):
        tokenizer.encode("ab\udc80")


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


@pytest.mark.parametrize(
    ("decoder", "named"), [({"type": "Fuse"}, "Fuse"), (None, "nothing")]
)
def test_tokenizer_that_decodes_otherwise(tmp_path, tokenizer, decoder, named):
    written = {**json.loads(tokenizer.backend.to_str()), "decoder": decoder}
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=said(f"decodes by {named}", "ByteLevel")):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


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
        ([{"name": "rag", "template": "x"}], ("'rag'", "'default'")),
        ({"default": "x"}, ("a dict", "must be text")),
        ([{"template": "x"}], ("a list of", "name and template")),
        (["x"], ("a list of", "name and template")),
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


def test_template_file_in_another_encoding(directory):
    path = directory / "chat_template.jinja"
    path.write_bytes("{{ messages }} é".encode("latin-1"))
    with pytest.raises(ValueError, match=said(path, "not UTF-8")):
        Tokenizer.from_directory(directory)
