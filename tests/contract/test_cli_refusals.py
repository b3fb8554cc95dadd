import io
import sys

import pytest
import tiny
import tiny_files
import torch
from refusal import said

from companion.__main__ import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model = tiny.model()
    return tiny_files.write_gguf(
        tmp_path_factory.mktemp("cli") / "tiny.gguf", model.config, model.state_dict()
    )


def assert_refused(capsys, *quotes):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("companion: ")
    assert captured.err.count("\n") == 1
    for quote in quotes:
        assert str(quote) in captured.err


@pytest.mark.parametrize(
    ("arguments", "quotes"),
    [
        ([""], ("(1, 0)", "at least one token")),
        (["the", "--max-new-tokens", "-1"], ("max_new_tokens is -1",)),
        (
            ["the", "--max-new-tokens", "128"],
            ("2 tokens", "128 new", "128 positions", "ask for 126"),
        ),
        (["the", "--temperature", "-1"], ("temperature is -1.0",)),
        (["the", "--temperature", "nan"], ("temperature is nan",)),
        (["the", "--top-k", "5"], ("temperature is 0", "top_k")),
        (["the", "--temperature", "1", "--top-k", "-1"], ("top_k is -1",)),
        (["the", "--temperature", "1", "--top-p", "2"], ("top_p is 2.0",)),
        (["the", "--system", "be"], ("--system", "PROMPT")),
        (["\udc80"], ("no valid Unicode",)),
        ([], ("no chat template", "give a PROMPT")),
        (["the", "--device", "gpu"], ("'gpu'", "'cuda'")),
        (["the", "--device", "meta"], ("'meta'", "holds no data")),
        (["the", "--seed", str(2**64)], (f"seed is {2**64}", "2**64 - 1")),
    ],
    ids=str,
)
def test_what_cannot_be_done(checkpoint, capsys, arguments, quotes):
    assert main([*arguments, "--model", str(checkpoint)]) == 2
    assert_refused(capsys, *quotes)


def test_piped_message_that_is_refused(tmp_path, monkeypatch, capsys):
    model = tiny.model()
    path = tmp_path / "chat.gguf"
    template = {"tokenizer.chat_template": "{{ messages[-1].content }}"}
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=template)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a" * 128 + "\nthe\n"))
    assert main(["--model", str(path)]) == 2
    assert_refused(capsys, "128 positions", "reset()")


def test_piped_line_in_another_encoding(tmp_path, monkeypatch, capsys):
    model = tiny.model()
    path = tmp_path / "chat.gguf"
    template = {"tokenizer.chat_template": "{{ messages[-1].content }}"}
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=template)
    lines = io.TextIOWrapper(io.BytesIO("café\n".encode("latin-1")), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", lines)
    assert main(["--model", str(path)]) == 2
    assert_refused(capsys, "not utf-8", "0xe9", "iconv -f LATIN1 -t utf-8")


def test_directory_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "config.json").mkdir()
    assert main(["the", "--model", str(tmp_path)]) == 2
    assert_refused(capsys, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none(checkpoint, capsys):
    assert main(["the", "--device", "cuda", "--model", str(checkpoint)]) == 2
    assert_refused(capsys, "'cuda'", "no CUDA GPU")


def test_missing_checkpoint(tmp_path, capsys):
    assert main(["the", "--model", str(tmp_path / "nowhere.gguf")]) == 2
    assert_refused(capsys, tmp_path / "nowhere.gguf")


def test_damaged_checkpoint(tmp_path, capsys):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF")
    assert main(["the", "--model", str(path)]) == 2
    assert_refused(capsys, path, "not a complete GGUF file")


def test_checkpoint_without_a_tokenizer(tmp_path, capsys):
    tiny_files.write_directory(tmp_path, tiny.model())
    assert main(["the", "--model", str(tmp_path)]) == 2
    assert_refused(capsys, "tokenizer.json", tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["the", "cat"],
        ["the", "--dtype", "int8"],
        ["the", "--max-new-tokens", "many"],
        ["the", "--no-such-option"],
    ],
    ids=str,
)
def test_arguments_that_are_none(capsys, arguments):
    with pytest.raises(SystemExit, match=said("2")):
        main(arguments)
    assert "usage: python -m companion" in capsys.readouterr().err
