import json
import shutil
from pathlib import Path

import pytest
import tiny
import tiny_files
import torch
import vocabularies
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

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
        **tiny_files.gguf_metadata(tiny.config()),
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
    return [tiny_files.TOKENS[i] for i in tokenizer.encode(text)]


def test_merges_are_applied():
    assert words(Tokenizer.from_gguf(tiny_metadata()), "a the he") == [
        "a",
        "Ġthe",
        "Ġ",
        "he",
    ]


def test_smollm_takes_each_digit_by_itself():
    tokens = [*tiny_files.BYTES, "Ġ1", "ĠĠ", "12"]
    changes = {
        "tokens": tokens,
        "token_type": [1] * len(tokens),
        "merges": ["Ġ 1", "Ġ Ġ", "1 2"],
        "eos_token_id": 0,
    }
    cuts = {}
    for split in ("smollm", "gpt-2"):
        tokenizer = Tokenizer.from_gguf(tiny_metadata(pre=split, **changes))
        cuts[split] = [tokens[i] for i in tokenizer.encode("a  12")]
    assert cuts == {"smollm": ["a", "ĠĠ", "1", "2"], "gpt-2": ["a", "Ġ", "Ġ1", "2"]}


def test_begin_of_text_is_put_in_front_where_asked_for():
    begin = tiny_files.TOKENS.index("<|start|>")
    assert Tokenizer.from_gguf(tiny_metadata(bos_token_id=begin)).encode("he") == [
        tiny_files.TOKENS.index("he")
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


def test_begin_and_end_of_text_where_asked_for():
    begin = tiny_files.TOKENS.index("<|start|>")
    around = {"bos_token_id": begin, "add_bos_token": True, "add_eos_token": True}
    tokenizer = Tokenizer.from_gguf(tiny_metadata(**around))
    assert words(tokenizer, "he") == ["<|start|>", "he", "<|end|>"]
    assert tokenizer.encode("he", add_special_tokens=False) == [
        tiny_files.TOKENS.index("he")
    ]


def test_stop_ids_are_all_that_the_file_names():
    tokens = [*tiny_files.TOKENS[:-2], "<|eot_id|>", "<|end|>"]
    changes = {"tokens": tokens, "eot_token_id": 3, "eom_token_id": 4}
    tokenizer = Tokenizer.from_gguf(tiny_metadata(**changes))
    assert tokenizer.stop_ids == (tiny.END, 3, 4, tiny.END - 1)


@pytest.mark.parametrize("name", ["<|eot_id|>", "<|im_end|>", "<|endoftext|>"])
def test_end_token_is_special_even_if_the_file_calls_it_normal(name):
    tokens = [*tiny_files.TOKENS[:-2], name, "<|end|>"]
    kinds = [1] * len(tokens)
    tokenizer = Tokenizer.from_gguf(tiny_metadata(tokens=tokens, token_type=kinds))
    assert tokenizer.encode(f"he{name}") == [tokens.index("he"), tiny.END - 1]


def test_user_defined_token_is_its_own_text():
    tokens = [*tiny_files.TOKENS[:-2], "né", "<|end|>"]
    kinds = [1] * (len(tokens) - 2) + [4, 3]
    tokenizer = Tokenizer.from_gguf(tiny_metadata(tokens=tokens, token_type=kinds))
    assert tokenizer.encode("ané") == [tokens.index("a"), tiny.END - 1]
    assert tokenizer.decode(tokenizer.encode("ané")) == "ané"


# ---- the kinds of tokenizer, against llama.cpp

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "parity" / "tokenizers_llama_cpp.json").read_text()
)


def vocabulary(name):
    """The tokenizer that the golden file has the ids of."""
    kind, *more = name.split(" ", 1)
    if kind == "llama":
        changes = {"add_space_prefix": False} if more else {}
        return Tokenizer.from_gguf(vocabularies.sentencepiece(**changes))
    return Tokenizer.from_gguf(
        vocabularies.byte_level(None if more == ["none"] else more[0])
    )


@pytest.fixture(scope="module", params=GOLDEN["tokenizers"])
def named(request):
    return request.param, vocabulary(request.param)


def test_ids_are_those_of_llama_cpp(named):
    name, tokenizer = named
    assert GOLDEN["texts"] == vocabularies.TEXTS
    for text, ids in zip(
        GOLDEN["texts"], GOLDEN["tokenizers"][name]["ids"], strict=True
    ):
        assert tokenizer.encode(text, add_special_tokens=False) == ids, text


def test_begin_of_text_is_added_where_llama_cpp_does(named):
    name, tokenizer = named
    begin = tokenizer.encode("")
    assert bool(begin) == GOLDEN["tokenizers"][name]["begins"]
    for text, ids in zip(
        GOLDEN["texts"], GOLDEN["tokenizers"][name]["ids"], strict=True
    ):
        assert tokenizer.encode(text) == begin + ids


@pytest.mark.parametrize("name", [n for n in GOLDEN["tokenizers"] if "llama" in n[:5]])
def test_sentencepiece_text_is_that_of_llama_cpp(name):
    tokenizer, recorded = vocabulary(name), GOLDEN["tokenizers"][name]
    for text, ids in zip(recorded["decoded"], recorded["ids"], strict=True):
        assert tokenizer.decode(ids) == text
        assert "".join(tokenizer.decode_stream(ids)) == text


def test_text_comes_back(named):
    name, tokenizer = named
    for text in vocabularies.TEXTS:
        sentencepiece = name.startswith("llama")
        if sentencepiece and ("▁" in text or "<" in text):
            continue  # U+2581 is a space to it, and a special token is followed by one
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids) == text
        assert "".join(tokenizer.decode_stream(ids)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=20))
def test_any_text_comes_back_from_sentencepiece(text):
    tokenizer = SENTENCEPIECE
    special = any(token in text for token in ("<s>", "</s>", "<unk>"))
    if not special:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids) == text


SENTENCEPIECE = Tokenizer.from_gguf(vocabularies.sentencepiece())


@given(st.lists(st.integers(0, SENTENCEPIECE.vocab_size - 1), max_size=12))
def test_sentencepiece_stream_joins_to_what_decode_gives_for_any_ids(ids):
    pieces = list(SENTENCEPIECE.decode_stream(ids))
    assert "".join(pieces) == SENTENCEPIECE.decode(ids)
    tokens = [SENTENCEPIECE.token(i) for i in ids]
    content = b"".join(
        bytes([int(token[3:5], 16)])
        if token.startswith("<0x")
        else token.replace("▁", " ").encode()
        for token in tokens
    )
    # where bytes make no character they are replaced, one by one
    if "\ufffd" not in (text := content.decode(errors="replace")):
        assert "".join(pieces) == text.removeprefix(" ")


def test_bytes_after_a_whole_character_do_not_take_it_back():
    # 日 as three byte tokens, then a byte that begins nothing
    ids = [3 + byte for byte in (*"日".encode(), 0xFF)]
    assert list(SENTENCEPIECE.decode_stream(ids)) == ["日", "\ufffd"]
    assert SENTENCEPIECE.decode(ids) == "日\ufffd"


def test_stream_after_a_prompt_keeps_its_space():
    prompt, more = (
        SENTENCEPIECE.encode(text, add_special_tokens=False) for text in ("the", "two")
    )
    assert SENTENCEPIECE.decode(more) == "two"
    assert "".join(SENTENCEPIECE.decode_stream(more, after=prompt)) == " two"
    assert SENTENCEPIECE.decode(prompt + more) == "the two"


def test_stream_after_half_a_character_finishes_it():
    ids = SENTENCEPIECE.encode("🙂", add_special_tokens=False)
    assert list(SENTENCEPIECE.decode_stream(ids[3:], after=ids[:3])) == ["🙂"]


# ---- from a file


@pytest.mark.parametrize("add_space_prefix", [True, False])
def test_sentencepiece_file_gives_the_same_tokenizer(tmp_path, add_space_prefix):
    metadata = vocabularies.sentencepiece(add_space_prefix=add_space_prefix)
    ours = Tokenizer.from_gguf(metadata)
    ours.backend.save(str(tmp_path / "tokenizer.json"))
    from_file = Tokenizer.from_file(tmp_path / "tokenizer.json")
    for text in vocabularies.TEXTS:
        ids = ours.encode(text, add_special_tokens=False)
        assert from_file.encode(text) == ids
        assert from_file.decode(ids) == ours.decode(ids)


def test_metaspace_file_is_sentencepiece_too(tmp_path):
    ours = Tokenizer.from_gguf(vocabularies.sentencepiece())
    written = json.loads(ours.backend.to_str())
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    written.update(normalizer=None, decoder={"type": "Sequence", "decoders": [
        {"type": "ByteFallback"}, metaspace]})  # fmt: skip
    written["pre_tokenizer"] = {**metaspace, "split": False}
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))
    from_file = Tokenizer.from_file(tmp_path / "tokenizer.json")
    ids = from_file.encode("the two 🙂")
    assert from_file.decode(ids) == "the two 🙂"


@pytest.fixture
def directory(tmp_path, bundled_tokenizer):
    """A directory with a tokenizer.json alone."""
    bundled_tokenizer.backend.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


SHOUT = "{{ bos_token }}{{ messages[0].content | upper }}"
USER = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "kind",
    ["text", "list", "file", "both", "folder", "processor", "file and processor"],
)
def test_directorys_chat_template(directory, kind):
    template = [
        {"name": "tool_use", "template": "no"},
        {"name": "default", "template": SHOUT},
    ]
    config = {"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>"}
    if kind in ("file", "both", "folder", "file and processor"):
        (directory / "chat_template.jinja").write_text(SHOUT)
    if kind in ("text", "list", "both", "folder"):
        config["chat_template"] = {"list": template, "text": SHOUT}.get(kind, "no")
    if kind == "folder":
        (directory / "additional_chat_templates").mkdir()
        (directory / "additional_chat_templates" / "tool_use.jinja").write_text("no")
    if "processor" in kind:
        processor = {"chat_template": SHOUT if kind == "processor" else "no"}
        write(directory / "chat_template.json", processor)
    write(directory / "tokenizer_config.json", config)
    tokenizer = Tokenizer.from_directory(directory)
    assert tokenizer.decode(tokenizer.apply_chat_template(USER)) == "<|im_start|>HI"
    if kind in ("list", "folder"):
        assert tokenizer.chat_template == {"default": SHOUT, "tool_use": "no"}


def test_additional_templates_take_the_place_of_others(directory):
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "rag.jinja").write_text("rag")
    write(directory / "tokenizer_config.json", {"chat_template": "no"})
    assert Tokenizer.from_directory(directory).chat_template == {"rag": "rag"}
    theirs = AutoTokenizer.from_pretrained(directory).chat_template
    assert theirs == {"rag": "rag"}


def test_directory_without_a_chat_template(directory):
    assert Tokenizer.from_directory(directory).chat_template is None
    write(directory / "tokenizer_config.json", {"eos_token": None})
    assert Tokenizer.from_directory(str(directory)).special_tokens == {}


@pytest.mark.parametrize(
    ("config", "generation", "stop"),
    [
        (None, None, (2,)),
        (0, None, (0, 2)),
        ([5, 6], None, (5, 6, 2)),
        (0, [7, 8], (7, 8, 2)),
        (0, 9, (9, 2)),
        (0, {}, (0, 2)),
    ],
)
def test_directorys_stop_tokens(directory, config, generation, stop):
    if generation is not None:
        content = {} if generation == {} else {"eos_token_id": generation}
        write(directory / "generation_config.json", content)
    # <|im_end|>, which ends a turn, is token 2
    assert Tokenizer.from_directory(directory, config).stop_ids == stop


def test_template_that_begins_the_text_does_not_begin_it_twice():
    metadata = vocabularies.sentencepiece()
    metadata["tokenizer.chat_template"] = "{{ bos_token }}{{ messages[0].content }}"
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.apply_chat_template(USER) == tokenizer.encode("hi")
    assert tokenizer.apply_chat_template(USER).count(1) == 1


def test_loaded_directory_has_template_and_stop_tokens(directory, tmp_path_factory):
    from companion import load

    whole = tmp_path_factory.mktemp("whole")
    tiny_files.write_directory(whole, tiny.model(vocab_size=49152), eos_token_id=0)
    shutil.copy(directory / "tokenizer.json", whole)
    (whole / "chat_template.jinja").write_text(SHOUT)
    _, tokenizer = load(whole, device="cpu")
    assert tokenizer.chat_template == SHOUT
    assert tokenizer.stop_ids == (0, 2)


def test_file_gives_the_same_tokenizer(tmp_path, bundled_tokenizer):
    bundled_tokenizer.backend.save(str(tmp_path / "tokenizer.json"))
    from_file = Tokenizer.from_file(tmp_path / "tokenizer.json", stop_ids=[2])
    assert from_file.stop_ids == (2,)
    for text in TEXTS:
        assert from_file.encode(text) == bundled_tokenizer.encode(text)
        assert from_file.decode(from_file.encode(text)) == text
