"""`python -m companion.parallel` as the one rank of a torchrun, in this process."""

import os

import pytest
import tiny
import tiny_files

from companion.__main__ import main as companion
from companion.parallel.__main__ import first_sentence, main


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny.model()
    return tiny_files.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict()
    )


def run(checkpoint, *arguments):
    return main([*arguments, "--device", "cpu", "--model", str(checkpoint)])


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--max-new-tokens", "9"],
        ["--max-new-tokens", "0"],
        ["--temperature", "1.5", "--seed", "7", "--top-k", "9", "--top-p", "0.9"],
        ["--dtype", "bfloat16", "--max-new-tokens", "9"],
    ],
    ids=str,
)
def test_prints_what_one_process_prints(torchrun, checkpoint, capsys, options):
    assert run(checkpoint, "the cat", *options) == 0
    printed = capsys.readouterr()
    common = ["--device", "cpu", "--model", str(checkpoint)]
    assert companion(["the cat", *options, *common]) == 0
    assert printed == capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "quotes"),
    [
        ([""], ("(1, 0)", "at least one token")),
        (["the", "--max-new-tokens", "-1"], ("max_new_tokens is -1",)),
        (["the", "--top-k", "5"], ("temperature is 0", "top_k")),
        (["the", "--device", "gpu"], ("'gpu'", "'cuda'")),
        (["the", "--device", "meta"], ("'meta'", "holds no data")),
    ],
    ids=str,
)
def test_what_cannot_be_done(torchrun, checkpoint, capsys, arguments, quotes):
    assert main([*arguments, "--model", str(checkpoint)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("companion.parallel: ")
    assert captured.err.count("\n") == 1
    for quote in quotes:
        assert quote in captured.err


def test_missing_checkpoint_and_missing_tokenizer(torchrun, tmp_path, capsys):
    assert run(tmp_path / "nowhere.gguf", "the") == 2
    assert "nowhere.gguf" in capsys.readouterr().err
    tiny_files.write_directory(tmp_path, tiny.model())
    assert run(tmp_path, "the") == 2
    assert f"no tokenizer.json in {tmp_path}" in capsys.readouterr().err


def test_arguments_that_are_none(torchrun, capsys):
    assert main(["the", "--no-such-option"]) == 2
    assert "usage: torchrun --nproc-per-node K" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "KV heads" in capsys.readouterr().out


def test_without_torchrun(capsys):
    assert main(["the"]) == 2
    error = capsys.readouterr().err
    assert "RANK, WORLD_SIZE, " in error
    assert "start it with torchrun --nproc-per-node K -m companion.parallel" in error


def test_an_environment_that_is_none(torchrun, capsys):
    torchrun.setenv("RANK", "first")
    assert main(["the"]) == 2
    assert "RANK='first'" in capsys.readouterr().err
    torchrun.delenv("RANK")
    assert main(["the"]) == 2
    assert "RANK is not set" in capsys.readouterr().err


def test_more_ranks_than_gpus(torchrun, capsys):
    torchrun.setattr("companion.parallel.ranks.pick_kind", lambda device: "cuda")
    torchrun.setattr("torch.cuda.device_count", lambda: 0)
    assert main(["the"]) == 2
    assert "1 ranks on this machine and 0 GPUs" in capsys.readouterr().err


def fail_with(torchrun, error):
    def complete(*arguments):
        raise error

    torchrun.setattr("companion.parallel.__main__.complete", complete)


def test_another_rank_that_has_gone(torchrun, checkpoint, capsys):
    gone = "[/build/gloo/pair.cc:5] Connection closed by peer [::1]:5. This is typical."
    fail_with(torchrun, RuntimeError(gone))
    assert run(checkpoint, "the") == 1
    assert capsys.readouterr().err == (
        "companion.parallel: rank 0: another rank ended (Connection closed by peer "
        "[::1]:5)\n"
    )
    assert first_sentence(RuntimeError("one\ntwo")) == "one"


def test_other_errors_are_not_taken_for_it(torchrun, checkpoint):
    fail_with(torchrun, RuntimeError("by the test"))
    with pytest.raises(RuntimeError, match="by the test"):
        run(checkpoint, "the")


def test_ctrl_c(torchrun, checkpoint, capsys):
    fail_with(torchrun, KeyboardInterrupt())
    assert run(checkpoint, "the") == 130
    assert capsys.readouterr() == ("\n", "")


def test_reader_that_has_gone(torchrun, checkpoint, capfd):
    fail_with(torchrun, BrokenPipeError())
    kept = os.dup(1)
    assert run(checkpoint, "the") == 0
    os.dup2(kept, 1)
    assert capfd.readouterr() == ("", "")
