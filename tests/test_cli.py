import io
import os
import pty
import select
import signal
import subprocess
import sys

import pytest
import tiny
import tiny_files
import torch
import vocabularies

from companion import Chat, generate, load
from companion.__main__ import main
from companion.generate import decode

TEMPLATE = (
    "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('not that') }}"
    "{% endif %}{{ m.role }}:{{ m.content }} {% endfor %}a:"
)


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny.model()
    return tiny_files.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict()
    )


def run(checkpoint, *arguments):
    return main([*arguments, "--device", "cpu", "--model", str(checkpoint)])


def written(checkpoint, prompt, count, dtype=torch.float32, **options):
    """The prompt and what `generate` writes after it."""
    model, tokenizer = load(checkpoint, dtype, "cpu")
    stop = tokenizer.stop_ids
    ids = torch.tensor([tokenizer.encode(prompt)])
    output = generate(model, ids, count, stop_tokens=stop, **options)[0, ids.shape[1] :]
    return prompt + tokenizer.decode(i for i in output.tolist() if i not in stop) + "\n"


def test_prints_the_prompt_and_what_follows(checkpoint, capsys):
    assert run(checkpoint, "the cat", "--max-new-tokens", "12") == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 12)


def test_writes_64_tokens_unless_told(checkpoint, capsys):
    assert run(checkpoint, "the cat") == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 64)


def test_temperature_and_seed(checkpoint, capsys):
    sampling = ["--temperature", "1.5", "--seed", "7"]
    assert run(checkpoint, "the cat", "--max-new-tokens", "12", *sampling) == 0
    printed = capsys.readouterr().out
    assert printed == written(checkpoint, "the cat", 12, temperature=1.5, seed=7)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_dtype_and_device(checkpoint, capsys, monkeypatch, name, device):
    models = []

    def loaded(*arguments):
        models.append(load(*arguments))
        return models[0]

    monkeypatch.setattr("companion.__main__.load", loaded)
    options = ["--max-new-tokens", "5", "--dtype", name, "--device", device]
    assert main(["the", *options, "--model", str(checkpoint)]) == 0
    assert models[0][0].dtype == getattr(torch, name)
    assert models[0][0].device.type == device
    if device == "cpu":
        assert capsys.readouterr().out == written(
            checkpoint, "the", 5, models[0][0].dtype
        )


def test_no_new_tokens_print_the_prompt_alone(checkpoint, capsys):
    assert run(checkpoint, "the cat", "--max-new-tokens", "0") == 0
    assert capsys.readouterr().out == "the cat\n"


def test_stops_at_the_end_of_text_token_and_does_not_print_it(
    checkpoint, tmp_path, capsys
):
    model, tokenizer = load(checkpoint, device="cpu")
    third = generate(model, torch.tensor([tokenizer.encode("the cat")]), 3)[
        0, -1
    ].item()
    ending = tiny_files.write_gguf(
        tmp_path / "ending.gguf",
        model.config,
        model.state_dict(),
        metadata={"tokenizer.ggml.eos_token_id": third},
    )
    assert run(ending, "the cat", "--max-new-tokens", "50") == 0
    printed = capsys.readouterr().out
    assert printed == written(ending, "the cat", 50)
    assert len(printed) < len(written(checkpoint, "the cat", 50))


@pytest.mark.parametrize(
    ("options", "sampling"),
    [
        (["--top-k", "9"], {"top_k": 9}),
        (["--top-p", "0.8"], {"top_p": 0.8}),
        (["--top-k", "30", "--top-p", "0.7"], {"top_k": 30, "top_p": 0.7}),
    ],
)
def test_limits_of_sampling(checkpoint, capsys, options, sampling):
    arguments = ["--max-new-tokens", "12", "--temperature", "2", *options]
    assert run(checkpoint, "the cat", *arguments) == 0
    expected = written(checkpoint, "the cat", 12, temperature=2.0, seed=0, **sampling)
    assert capsys.readouterr().out == expected
    assert expected != written(checkpoint, "the cat", 12, temperature=2.0, seed=0)


def test_sentencepiece_keeps_the_space_after_the_prompt(tmp_path, capsys):
    metadata = vocabularies.sentencepiece()
    model = tiny.model(vocab_size=len(metadata["tokenizer.ggml.tokens"]))
    path = tmp_path / "sentencepiece.gguf"
    tiny_files.write_gguf(
        path,
        model.config,
        model.state_dict(),
        metadata=metadata,
        without=["tokenizer.ggml.pre", "tokenizer.ggml.merges"],
    )
    assert run(path, "the two", "--max-new-tokens", "12") == 0
    model, tokenizer = load(path, device="cpu")
    ids = generate(model, torch.tensor([tokenizer.encode("the two")]), 12)
    assert capsys.readouterr().out == tokenizer.decode(ids[0, 1:]) + "\n"


# ---- the chat


@pytest.fixture
def chat_checkpoint(tmp_path):
    """A model that writes lower case letters, and a template."""
    model = tiny.model()
    for i, token in enumerate(tiny_files.TOKENS):
        if not (token.isascii() and token.islower() and len(token) == 1):
            model.lm_head.weight[i] = 0
    path = tmp_path / "chat.gguf"
    return tiny_files.write_gguf(
        path,
        model.config,
        model.state_dict(),
        metadata={"tokenizer.chat_template": TEMPLATE},
    )


def converse(checkpoint, monkeypatch, lines, *arguments):
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    return run(checkpoint, "--max-new-tokens", "5", *arguments)


def answers(checkpoint, *turns, **options):
    """What a chat answers to each turn, a line each."""
    chat = Chat(*load(checkpoint, device="cpu"), max_new_tokens=5, **options)
    return [chat.send(text) for text in turns]


def test_piped_lines_are_turns(chat_checkpoint, monkeypatch, capsys):
    assert converse(chat_checkpoint, monkeypatch, "the cat\n\n he \nthe") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == answers(chat_checkpoint, "the cat", "he", "the")
    assert captured.err == ""


def test_reset_and_exit(chat_checkpoint, monkeypatch, capsys):
    lines = "the cat\n/reset\nthe cat\n/exit\nthe\n"
    assert converse(chat_checkpoint, monkeypatch, lines) == 0
    [answer] = answers(chat_checkpoint, "the cat")
    assert capsys.readouterr().out == f"{answer}\n{answer}\n"


def test_options_of_the_chat(chat_checkpoint, monkeypatch, capsys):
    options = ["--system", "be", "--temperature", "3", "--top-k", "9", "--seed", "4"]
    assert converse(chat_checkpoint, monkeypatch, "the\nhe\n", *options) == 0
    sampling = {"temperature": 3.0, "top_k": 9, "seed": 4}
    expected = answers(chat_checkpoint, "the", "he", system="be", **sampling)
    assert capsys.readouterr().out.splitlines() == expected
    assert expected != answers(chat_checkpoint, "the", "he", **sampling)


def test_ctrl_c_stops_an_answer_and_not_the_chat(chat_checkpoint, monkeypatch, capsys):
    taken = []

    def interrupted(chat, text):
        stream = whole(chat, text)
        yield next(stream)
        if not taken:
            taken.append(text)
            raise KeyboardInterrupt
        yield from stream

    whole = Chat.stream
    monkeypatch.setattr(Chat, "stream", interrupted)
    assert converse(chat_checkpoint, monkeypatch, "the cat\nhe\n") == 0
    first, second = capsys.readouterr().out.splitlines()
    [answer] = answers(chat_checkpoint, "the cat")
    assert first == answer[:1]
    assert len(second) > 1


def test_terminal_has_a_prompt_and_goes_on_after_a_refusal(chat_checkpoint):
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "companion", "--model", str(chat_checkpoint)]
    started = subprocess.Popen(
        [*command, "--max-new-tokens", "5", "--device", "cpu"],
        stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True,
        env={**os.environ, "TERM": "dumb"},
        # where the tests run in the background, children inherit a Ctrl-C that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(terminal)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            assert select.select([controller], [], [], 60)[0], seen
            seen += os.read(controller, 4096)
        part, seen = seen.split(text, 1)
        return part.decode()

    assert "/exit or Ctrl-D" in until(b"> ")
    os.write(controller, b"no\n")
    assert "companion: " in until(b"not that")
    until(b"> ")
    for _ in range(20):
        started.send_signal(signal.SIGINT)  # Ctrl-C at the prompt: another prompt
        # one that comes before Python waits for a key does not wake it
        if select.select([controller], [], [], 3)[0]:
            break
    until(b"> ")
    os.write(controller, b"the cat\n")
    [answer] = answers(chat_checkpoint, "the cat")
    assert answer in until(b"\n> ")
    os.write(controller, b"\x04")  # Ctrl-D
    assert started.wait(timeout=60) == 0
    os.close(controller)


# ---- leaving


def test_reader_that_goes_away_is_no_error(checkpoint):
    command = [sys.executable, "-m", "companion", "the", "--model", str(checkpoint)]
    process = subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=120) == 0


def test_ctrl_c_ends_a_text_without_a_traceback(checkpoint, monkeypatch, capsys):
    def interrupted(*_, **__):
        yield torch.tensor([1])
        raise KeyboardInterrupt

    monkeypatch.setattr("companion.chat.terminal.generate_stream", interrupted)
    assert run(checkpoint, "the cat") == 130
    captured = capsys.readouterr()
    assert captured.out.startswith("the cat")
    assert captured.out.endswith("\n")
    assert captured.err == ""


def test_help_names_every_option_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) < 80
    for option in (
        "PROMPT",
        "--max-new-tokens",
        "--system",
        "--temperature",
        "--top-k",
        "--top-p",
        "--seed",
        "--model",
        "--dtype",
        "--device",
        "/reset",
        "examples:",
    ):
        assert option in text


DECODE_COMPILED = ("--decode", "compiled")


@pytest.fixture
def compiles(monkeypatch):
    """Compiled steps that are the ordinary one, and how often they were made and asked for."""
    seen = []

    def compile_decode(model):
        seen.append("made")
        return lambda *given: seen.append("run") or decode(*given)

    monkeypatch.setattr("companion.chat.options.compile_decode", compile_decode)
    return seen


@pytest.mark.parametrize(
    ("arguments", "ready", "used"),
    [
        ((), False, False),
        ((), True, True),
        (("--decode", "plain"), True, False),
        (DECODE_COMPILED, False, True),
    ],
)
def test_the_step_that_writes(
    checkpoint, capsys, monkeypatch, compiles, arguments, ready, used
):
    monkeypatch.setattr("companion.chat.options.is_compiled", lambda model: ready)
    count = ("--max-new-tokens", "4")
    assert run(checkpoint, "the cat", *count, *arguments) == 0
    assert compiles == (["made"] + ["run"] * 3 if used else [])
    text = capsys.readouterr()
    assert text.out == written(checkpoint, "the cat", 4)
    assert text.err == ""


@pytest.mark.parametrize("ready", [False, True])
def test_a_terminal_is_told_which_step_writes(
    checkpoint, capsys, monkeypatch, compiles, ready
):
    monkeypatch.setattr("companion.chat.options.is_compiled", lambda model: ready)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run(checkpoint, "the cat", "--max-new-tokens", "2") == 0
    told = "the compiled step" if ready else "--decode compiled"
    assert told in capsys.readouterr().err


def test_a_chat_writes_by_the_compiled_step(
    chat_checkpoint, monkeypatch, capsys, compiles
):
    assert converse(chat_checkpoint, monkeypatch, "the cat\n", *DECODE_COMPILED) == 0
    assert "run" in compiles
    assert capsys.readouterr().out.splitlines() == answers(chat_checkpoint, "the cat")
