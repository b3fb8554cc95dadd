"""A real Ctrl-C to real processes: how they end, and what they leave."""

import importlib
import os
import shutil
import signal

import psutil
import pytest
import tiny
import torch
from staged import PATIENCE, command, hold, interrupted, process, read, until

from companion import Chat, load
from companion.fast.compiled import building, store
from companion.parallel import export

OPTIONS = "companion.chat.options"
STAGES = {
    "reading the file": ("companion.checkpoints.loading", "fill"),
    "running the prompt": ("companion.generate", "prefill"),
    "running a token": (OPTIONS, "decode"),
    "writing": ("companion.chat.terminal", "print"),
}


@pytest.fixture
def reached(tmp_path):
    """The file that a process makes where it is held."""
    return tmp_path / "reached"


# ---- commands


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_ends_with_130_and_without_a_word(
    tmp_path, checkpoint, reached, stage
):
    arguments = ["the cat", "--max-new-tokens", "9", "--model", str(checkpoint)]
    started = process(tmp_path, command, arguments, *STAGES[stage], reached)
    assert interrupted(started, reached) == 130
    assert read(tmp_path, "err") == ""
    assert read(tmp_path, "out").endswith("\n")


def test_the_next_start_is_as_if_nothing_had_been(tmp_path, checkpoint, reached):
    arguments = ["the cat", "--max-new-tokens", "9", "--model", str(checkpoint)]
    started = process(tmp_path, command, arguments, OPTIONS, "decode", reached)
    assert interrupted(started, reached) == 130
    (tmp_path / "out").unlink()
    again = process(tmp_path, command, arguments)
    again.join(PATIENCE)
    assert again.exitcode == 0
    model, tokenizer = load(checkpoint, device="cpu")
    chosen = []
    for _ in range(9):
        ids = torch.tensor([[*tokenizer.encode("the cat"), *chosen]])
        chosen.append(int(model(ids)[0, -1].argmax()))
    text = "the cat" + tokenizer.decode(chosen[: stops(chosen, tokenizer)])
    assert read(tmp_path, "out") == text + "\n"


def stops(ids, tokenizer):
    """Where a stop token is, or the end."""
    return next((i for i, x in enumerate(ids) if x in tokenizer.stop_ids), len(ids))


def test_a_reader_that_gets_the_same_ctrl_c(tmp_path, checkpoint, reached):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = ["the cat", "--model", str(checkpoint)]
    held = command, arguments, OPTIONS, "decode", reached
    started = process(tmp_path, *held, stdout=pipe)
    reader = os.open(pipe, os.O_RDONLY)
    assert os.read(reader, 7) == b"the cat"
    until(reached.exists, started)
    os.close(reader)
    assert interrupted(started, reached) == 130
    assert read(tmp_path, "err") == ""


@pytest.mark.parametrize(
    ("place", "kept"),
    [(("companion.generate", "prefill"), 0), ((OPTIONS, "decode"), 1)],
)
def test_a_chat_goes_on_from_what_was_written(
    tmp_path, checkpoint, reached, place, kept
):
    lines = tmp_path / "lines"
    lines.write_text("the cat\nhe\n")
    arguments = ["--max-new-tokens", "5", "--model", str(checkpoint)]
    held = command, arguments, *place, reached
    started = process(tmp_path, *held, stdin=lines)
    assert interrupted(started, reached) == 0
    assert read(tmp_path, "err") == ""

    chat = Chat(*load(checkpoint, device="cpu"), max_new_tokens=5, seed=0)
    text = ""
    if kept:
        asked = [{"role": "user", "content": "the cat"}]
        ids = torch.tensor([chat.tokenizer.apply_chat_template(asked)])
        token = int(chat.model(ids)[0, -1].argmax())
        text = chat.tokenizer.decode([token]).replace("\ufffd", "")  # half a character
        chat.messages = [*asked, {"role": "assistant", "content": text}]
    assert read(tmp_path, "out") == f"{text}\n{chat.send('he')}\n"


# ---- what compiles


TORCH = """
import os, pathlib, time
class export:
    def load(path):
        pathlib.Path(path).with_name("reached").write_text(os.environ["TMPDIR"])
        time.sleep(999)
"""


def test_a_worker_ends_with_the_process_that_waits(tmp_path, monkeypatch):
    """Whatever ends that one: its end of the pipe closes."""
    (tmp_path / "torch" / "_inductor").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text(TORCH)
    (tmp_path / "torch" / "_inductor" / "__init__.py").write_text(
        "aoti_compile_and_package = None"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    waits, works = (building.worker(tmp_path / name) for name in ("waits", "works"))
    building.begin(works)
    note = tmp_path / "works" / "reached"
    until(lambda: note.exists() and note.read_text())
    assert note.read_text() == str(note.parent)  # the C++ compiler's files go with it
    for each in (waits, works):
        assert each.poll() is None
        each.stdin.close()
        each.wait(PATIENCE)
    assert (waits.returncode, works.returncode) == (0, -signal.SIGKILL)


SLOW = """
import subprocess, sys
from pathlib import Path
sys.stdin.readline()
child = subprocess.Popen(["sleep", "300"])  # as g++
Path(sys.argv[2]).with_name("started").write_text(str(child.pid))
child.wait()
"""


def compile_slowly(worker):
    """The programs of a model by workers that do not come to an end."""
    building.WORKER = worker
    torch.manual_seed(0)
    model, fast = tiny.model(), importlib.import_module("companion.fast")
    generate = importlib.import_module("companion.generate").generate
    generate(model, tiny.ids(1, 3), 3, decode=fast.compile_decode(model))


def test_nothing_is_left_of_a_compilation(tmp_path, folder, scratch, reached):
    (tmp_path / "slow.py").write_text(SLOW)
    started = process(tmp_path, compile_slowly, tmp_path / "slow.py")
    notes = until(lambda: two(scratch.glob("*/*/started")), started)
    compilers = [int(until(note.read_text)) for note in notes]
    assert len({os.getpgid(each) for each in [*compilers, started.pid]}) == 3
    reached.touch()  # it is held already
    assert interrupted(started, reached) == 1
    assert read(tmp_path, "err").endswith("KeyboardInterrupt\n")
    until(lambda: not any(map(runs, compilers)))
    assert [x.name for x in scratch.iterdir() if "inductor" not in x.name] == []
    assert not folder.exists()


def two(found):
    found = list(found)
    return found if len(found) == 2 else None


def runs(pid):
    """Whether a process is there, and not only its entry."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ---- what writes files


def test_nothing_half_written_is_left_in_the_store(tmp_path, folder, package, reached):
    started = process(tmp_path, keep_slowly, reached, package, folder.parent)
    interrupted(started, reached)
    assert list(folder.iterdir()) == []
    assert store.keep("name", package) is None
    assert store.find("name").read_bytes() == package.read_bytes()


def keep_slowly(reached, package, home):
    os.environ["COMPANION_CACHE"] = str(home)
    half = package.read_bytes()[:50]
    hold(reached, shutil, "copyfileobj", lambda _, out: out.write(half))
    return store.keep("name", package)


def test_nothing_half_written_is_left_of_an_export(tmp_path, reached):
    started = process(tmp_path, export_slowly, reached, tmp_path / "to" / "model")
    interrupted(started, reached)
    assert list((tmp_path / "to").iterdir()) == []


def export_slowly(reached, target):
    module = importlib.import_module("companion.parallel.export")
    hold(reached, module, "save_file", lambda _, path: path.write_text("half"))
    return export(tiny.model(), target)
