"""Parts of ranks that need no other: one alone, or one whose collectives send nothing."""

import os
import pickle
import signal
import threading

import on_ranks
import pytest
import tiny
import torch
import torch.distributed as dist

from companion import LlamaDecoderLayer, MultiHeadAttention
from companion.parallel import predicted
from companion.parallel.examples import attention_parts, generated, layer_parts, step
from companion.parallel.last_word import SPOKEN, Speaker
from companion.parallel.ranks import Rank, pick_kind
from companion.parallel.spawn import work
from companion.parallel.watch import note, result


def test_parts_of_one_rank_are_the_whole(alone):
    layer = LlamaDecoderLayer(tiny.config(), 0).requires_grad_(False)
    x = torch.randn(1, 5, 16)
    parts = layer_parts(alone, layer, x)
    assert torch.equal(parts["output"], layer(x))
    assert sorted(parts) == [
        "mlp.down_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "output",
    ] + [f"self_attn.{name}_proj" for name in "koqv"]
    attention = MultiHeadAttention(16, 4).requires_grad_(False)
    parts = attention_parts(alone, attention, x)
    assert torch.equal(parts["o_proj"], parts["output"])
    assert torch.equal(parts["output"], attention(x))


@pytest.mark.parametrize("tied", [False, True])
def test_a_rank_runs_the_predicted_collectives(fake, tied):
    model = tiny.model(vocab_size=264, tie_word_embeddings=tied)
    with fake(0, 2) as mesh:
        found = step(mesh, model, tiny.ids(2, 5, 264))
        assert generated(mesh, model, tiny.ids(1, 2, 264), 3).shape == (1, 5)
    assert found["collectives"] == predicted(model.config, 2, 2, 5, torch.float32)
    assert found["logits"].shape == (2, 264)
    assert found["profiled"] == []  # no back end


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a rank of `run` finds what to call; it leaves no trace in this process."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_a_rank_leaves_its_result(folder):
    call = (on_ranks.number_and_double, (torch.ones(2),), dict(os.environ))
    (folder / "call").write_bytes(pickle.dumps(call))
    work(0, folder, "cpu", 1)
    number, threads, doubled = pickle.loads(result(folder, 0).read_bytes())
    assert (number, threads, doubled.tolist()) == (0, 1, [2, 2])


def test_a_rank_has_no_older_environment(folder, monkeypatch):
    """Such as that of the process it was forked from."""
    given = dict(os.environ)
    monkeypatch.setenv("RANKS_SEE", "what was")
    call = on_ranks.environment, ("RANKS_SEE",), given
    (folder / "call").write_bytes(pickle.dumps(call))
    work(0, folder, "cpu", 1)
    assert pickle.loads(result(folder, 0).read_bytes()) is None


@pytest.mark.parametrize("call", [(len, (), {}), "no call"], ids=str)
def test_a_rank_leaves_its_error(folder, call, capfd):
    (folder / "call").write_bytes(pickle.dumps(call))
    with pytest.raises(SystemExit):
        work(0, folder, "cpu", 1)
    assert not result(folder, 0).exists()
    _, why, *trace = note(folder, 0).read_text().split("\n")
    assert why.startswith(("TypeError: ", "ValueError: "))
    assert "Traceback (most recent call last):" in trace
    assert capfd.readouterr() == ("", "")


def test_devices_that_ranks_do_not_talk_from(monkeypatch):
    monkeypatch.setattr(
        "companion.parallel.ranks.pick_device", lambda device: torch.device("xpu")
    )
    with pytest.raises(ValueError, match=r"'xpu', and ranks talk between cuda or cpu"):
        pick_kind("xpu")


# ---- the last word


def speaker(number, store):
    return Speaker(Rank(number, 2, number, 2), store)


def test_rank_0_speaks_for_all(capsys):
    store = dist.HashStore()
    assert speaker(0, store).leave(2, "refused") == 2
    assert capsys.readouterr().err == "refused\n"
    assert speaker(1, store).leave(1, "another way") == 2
    assert capsys.readouterr().err == ""


def test_others_speak_when_rank_0_does_not(capsys, monkeypatch):
    monkeypatch.setattr("companion.parallel.last_word.PATIENCE", {1: 0.1})
    assert speaker(1, dist.HashStore()).leave(1, "alone") == 1
    assert capsys.readouterr().err == "alone\n"


def test_only_rank_0_is_seen(capsys):
    for number in (0, 1):
        with speaker(number, dist.HashStore()).others_silent():
            print(f"rank {number}")
    assert capsys.readouterr().out == "rank 0\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("spoken", "status", "error"),
    [(None, 1, "rank 1: another rank ended (torchrun stopped this one)"), ("2", 2, "")],
)
def test_stopped_by_torchrun(monkeypatch, capfd, spoken, status, error):
    store, left, statuses = dist.HashStore(), threading.Event(), []
    if spoken is not None:
        store.set(SPOKEN, spoken)

    def leave(number):
        statuses.append(number)
        left.set()
        raise SystemExit  # ends the thread that would have ended the process

    monkeypatch.setattr("os._exit", leave)
    before = signal.getsignal(signal.SIGTERM)
    try:
        speaker(1, store).answer_sigterm()
        os.kill(os.getpid(), signal.SIGTERM)
        assert left.wait(10)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, before)
    assert statuses == [status]
    assert error in capfd.readouterr().err
