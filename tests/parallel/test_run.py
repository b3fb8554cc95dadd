import os
import re
import signal
import sys
import time
from types import ModuleType

import on_ranks
import pytest
import torch

from companion.parallel import run
from companion.parallel.watch import note, watch


@pytest.fixture(autouse=True)
def in_time_and_in_silence(capfd):
    """Whatever a rank does, nothing hangs and the machinery prints nothing."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < 60
    assert capfd.readouterr() == ("", "")


def test_results_come_in_the_order_of_the_ranks():
    results = run(on_ranks.number_and_double, 2, torch.arange(3))
    assert [rank for rank, _, _ in results] == [0, 1]
    for _, threads, doubled in results:
        assert threads == 1
        assert torch.equal(doubled, torch.tensor([0, 2, 4]))


@pytest.mark.parametrize("value", ["one", "another", None])
def test_a_rank_has_the_environment_of_the_call(value, monkeypatch):
    """Whatever it was when the first rank was started."""
    if value:
        monkeypatch.setenv("RANKS_SEE", value)
    assert run(on_ranks.environment, 2, "RANKS_SEE") == [value, value]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (on_ranks.one_raises, "rank 1 of 2 ended: ZeroDivisionError: by the test"),
        (on_ranks.one_is_killed, "rank 1 of 2 ended: it was killed by SIGKILL"),
        (on_ranks.one_leaves, "rank 0 of 2 ended: it left with exit status 0 and no"),
    ],
)
def test_a_rank_that_ends_ends_all_and_says_why(function, why, tmp_path):
    with pytest.raises(RuntimeError, match=re.escape(why)):
        run(function, 2, tmp_path)


class Ended:
    """A process whose last descriptor is closed, and which the kernel still takes down:
    it is there, without an exit code, until somebody waits for it.
    """

    def __init__(self, code):
        self.sentinel, held = os.pipe()
        os.close(held)
        self.code, self.exitcode = code, None

    def is_alive(self):
        return self.exitcode is None

    def join(self, timeout):
        self.exitcode = self.code


def test_the_killed_rank_is_named_though_another_notes_first_that_it_is_gone(tmp_path):
    missing, killed = Ended(1), Ended(-signal.SIGKILL)
    missing.join(0)
    note(tmp_path, 0).write_text(f"{time.time()}\nRuntimeError: closed by peer")
    with pytest.raises(RuntimeError, match="rank 1 of 2 ended: it was killed by SIGK"):
        watch([missing, killed], tmp_path)


@pytest.mark.parametrize("ranks", [0, -1, True, 2.0, "2"])
def test_a_number_of_ranks_that_is_none(ranks):
    with pytest.raises(ValueError, match=f"ranks is {re.escape(repr(ranks))}"):
        run(on_ranks.number_and_double, ranks)


def test_a_function_that_has_no_name_in_a_module():
    with pytest.raises(ValueError, match="lambda> cannot be imported"):
        run(lambda mesh: None, 2)


def test_a_function_of_a_notebook(monkeypatch):
    notebook = ModuleType("__main__")  # no file holds it
    exec("def cell(mesh): pass", notebook.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(ValueError, match=r"cell cannot be imported .* notebook"):
        run(notebook.cell, 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpus_where_there_are_none():
    with pytest.raises(ValueError, match="'cuda' and torch sees no CUDA GPU"):
        run(on_ranks.number_and_double, 2, device="cuda")


def test_more_ranks_than_gpus(monkeypatch):
    monkeypatch.setattr("companion.parallel.spawn.pick_kind", lambda device: "cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(
        ValueError, match=r"2 ranks on this machine and 1 GPU: .* use 1"
    ):
        run(on_ranks.number_and_double, 2, device="cuda")
