"""`make bench-gpu` without a GPU: all of it with tiny sizes, and its arithmetic on made-up
figures.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import goals
import gpu
import gpu_timing
import pytest
import torch
from gpu_kernels import count_launches
from gpu_timing import GpuTimer, Timer, checked, in_turn, relative_error, sets_of

from companion import show
from companion.fast.kernels.goals import (
    GPU_GOALS,
    NOT_YET,
    GpuGoal,
    in_words,
    judged,
)

ROOT = Path(__file__).parents[2]
CPU = Timer(torch.device("cpu"))
MACHINE = {
    "date": "2026-01-02",
    "gpu": "a GPU",
    "cuda": "13.0",
    "driver": "580.1",
    "torch": "2.13.0",
    "triton": "3.9.0",
    "transformers": "5.23.0",
    "commit": "abc",
}
NO_CUDNN = "torch cudnn"  # a CPU has no such back end


def program(*options, **environment):
    """Run the benchmark as `make bench-gpu` does."""
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu.py", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=300,
        cwd=ROOT,
    )


# ---- everything with tiny sizes


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory, lacking):
    """What was printed, and the raw file, where much is not installed."""
    folder = tmp_path_factory.mktemp("tiny")
    environment = {"TRITON_INTERPRET": "1", "PYTHONPATH": f"{lacking}:{ROOT}"}
    ran = program("--tiny", "--out", folder, "--seed", "1", **environment)
    assert ran.returncode == 0, ran.stderr
    (path,) = folder.iterdir()
    assert path.match("gpu-????-??-??.json")
    return ran.stdout, json.loads(path.read_text())


def test_every_case_was_checked_and_timed(tiny_run):
    _, raw = tiny_run
    assert list(raw["cases"]) == [case.name for case in gpu.cases()]
    for name, case in raw["cases"].items():
        assert "error" not in case, name
        assert set(case["errors"]) <= {NO_CUDNN}
        assert case["rounds"] == 2
        for form, seconds in case["seconds"].items():
            assert len(seconds) == 2, form
            assert min(seconds) > 0
        assert set(case["relative_error"]) >= set(case["seconds"]) - {
            "hugging face static cache, compiled"
        }
        assert all(0 <= error < 0.05 for error in case["relative_error"].values())


def test_every_goal_has_a_figure_but_where_a_cpu_has_no_peer(tiny_run):
    _, raw = tiny_run
    missing = [goal for goal in GPU_GOALS if judged(goal, raw)["figure"] is None]
    assert {goal.against for goal in missing} == {NO_CUDNN}
    assert all("RuntimeError" in judged(goal, raw)["problem"] for goal in missing)


def test_what_each_call_computes_and_moves(tiny_run):
    cases = tiny_run[1]["cases"]
    assert cases["matmul ceiling"]["flops"] == 2 * 64**3
    assert cases["copy bandwidth"]["bytes"] == 2 * 2**12
    # 2 heads of 16: scores and weighted values of 1 + 2 + ... + 20 pairs, a FLOP pair each
    assert cases["causal attention, 4k"]["flops"] == 2 * 2 * 2 * 16 * 210
    # keys and values of 70 tokens in one head, a query and an output in two, 2 bytes each
    decode = cases["attention in decode, 32k cache, batch 1"]
    assert decode["bytes"] == 2 * 16 * (2 * 70 + 2 * 2)
    # 4 tokens of 32: read and written, and the weight; twice that with a residual
    assert cases["16k tokens, RMSNorm"]["bytes"] == 2 * (2 * 4 * 32 + 32)
    assert cases["16k tokens, addition and RMSNorm"]["bytes"] == 2 * (4 * 4 * 32 + 32)
    # 3 heads of 16, in and out, and two angles
    assert cases["16k tokens, RoPE"]["bytes"] == 2 * 4 * 16 * (2 * 3 + 2)
    assert cases["16k tokens, SwiGLU"]["bytes"] == 2 * 3 * 4 * 48
    # two layers, the last norm, the head and one row of the embedding
    layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48 + 2 * 32
    weights = 2 * layer + 32 + 48 * 32 + 32
    assert cases["Llama-3-8B's sizes, decode step"]["bytes"] == 2 * weights


def test_what_is_around_attention_is_one_launch_each(tiny_run):
    launches = {
        k: v["launches"] for k, v in tiny_run[1]["cases"].items() if "launches" in v
    }
    assert len(launches) == 4
    assert set(launches.values()) == {1}


def test_the_goals_are_printed_last(tiny_run):
    printed, raw = tiny_run
    lines = printed.splitlines()[-len(GPU_GOALS) :]
    assert lines == [goals.text(line) for line in goals.judged_on_gpu(raw)]
    assert any("1 launch" in line and "1, reached" in line for line in lines)


def test_the_book_shows_a_raw_file(tiny_run):
    shown = show.gpu_goals(tiny_run[1])
    assert "none: tiny sizes on a CPU" in repr(shown)
    assert shown._repr_html_().count("<tr>") == 1 + len(GPU_GOALS)


def test_tiny_figures_stay_out_of_the_results():
    ran = program("--tiny", TRITON_INTERPRET="1")
    assert ran.returncode == 2
    assert "--tiny measures nothing" in ran.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    ran = program("--out", tmp_path)
    assert ran.returncode == 1
    assert (
        ran.stderr.strip() == "make bench-gpu needs a CUDA GPU, and torch finds none."
    )
    assert not list(tmp_path.iterdir())


# ---- goals


def raw_with(goal, median):
    """A raw file in which one figure is known."""
    figure = {"median": median, "min": median / 2, "max": median * 2}
    return {**MACHINE, "cases": {goal.name: {"figures": {goal.against: figure}}}}


@pytest.mark.parametrize("goal", GPU_GOALS, ids=lambda goal: f"{goal.name}: {goal}")
def test_a_goal_is_reached_at_its_limit_and_missed_beyond(goal):
    worse = 2 if goal.against == "launches" else goal.limit - 0.001
    for median, reached in ((goal.limit, True), (worse, False)):
        raw = raw_with(goal, median)
        assert judged(goal, raw)["reached"] is reached
        assert in_words(goal, raw).endswith("reached" if reached else "missed")
        (line,) = (x for x in goals.judged_on_gpu(raw) if x["reached"] is not None)
        assert (line["name"], line["reached"]) == (goal.name, reached)
        assert ("MISSED" in goals.text(line)) is not reached


def test_goals_are_those_of_the_cases():
    names = [case.name for case in gpu.cases()]
    assert {goal.name for goal in GPU_GOALS} < set(names)
    assert [(str(goal), goal.name) for goal in GPU_GOALS][:3] == [
        ("at least 1.3× torch's flash attention", "causal attention, 4k"),
        ("at least 0.9× torch's cuDNN attention", "causal attention, 4k"),
        ("at least 65% of the matrix product's rate", "causal attention, 4k"),
    ]


def test_without_a_raw_file_nothing_is_measured_yet(monkeypatch, tmp_path):
    monkeypatch.setattr("companion.show.measurements.raw.RESULTS", tmp_path)
    shown = show.gpu_goals()
    assert shown.machine == ""
    assert {row[2] for row in shown.rows} == {NOT_YET}
    lines = [x for x in goals.judge(lambda name: None) if x["file"] == "gpu"]
    assert len(lines) == len(GPU_GOALS)
    assert all(line["reached"] is None for line in lines)
    assert all(goals.text(line).endswith(NOT_YET) for line in lines)


def test_the_newest_raw_file_is_shown_with_its_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("companion.show.measurements.raw.RESULTS", tmp_path)
    goal = GPU_GOALS[0]
    for date, figure in (("2026-01-02", 9.0), ("2026-02-01", 1.5)):
        raw = raw_with(goal, figure) | {"date": date}
        (tmp_path / f"gpu-{date}.json").write_text(json.dumps(raw))
    shown = show.gpu_goals()
    row = "causal attention, 4k", str(goal), "1.50× (0.75–3.00), reached"
    assert tuple(shown.rows[0]) == row
    machine = (
        "2026-02-01 · a GPU · CUDA 13.0, driver 580.1 · torch 2.13.0 · triton 3.9.0"
    )
    assert shown.machine.startswith(machine)
    assert repr(shown).endswith(shown.machine)
    assert f"<p>{shown.machine}</p>" in shown._repr_html_()


def test_a_failure_is_shown_in_short():
    goal = GpuGoal("causal attention", "4k", "torch cudnn", 0.9)
    case = {"figures": {}, "errors": {"torch cudnn": "RuntimeError: No kernel. " * 9}}
    assert in_words(goal, {"cases": {goal.name: case}}) == (
        "not measured: RuntimeError: No kernel. RuntimeError: No kernel. …"
    )
    failed = {"cases": {goal.name: {"error": "OutOfMemoryError: too much"}}}
    assert in_words(goal, failed) == "not measured: OutOfMemoryError: too much"


def test_figures_are_ratios_of_rounds_and_shares_of_the_ceilings():
    measured = {
        "matmul ceiling": {
            "seconds": {"torch": [3.0, 3.0, 1.0], "torch, transposed": [1.0, 2.0, 9.0]},
            "flops": 800,
        },
        "copy bandwidth": {"error": "failed"},
    }
    ceilings = gpu.ceilings(measured)
    assert ceilings == {"matmul ceiling": 400}
    seconds = {"companion": [1.0, 2.0], "torch flash": [2.0, 3.0]}
    case = {"seconds": seconds, "flops": 200, "bytes": 7, "launches": 1}
    assert gpu.figures(case, ceilings) == {
        "torch flash": {"median": 1.75, "min": 1.5, "max": 2.0},
        "matmul ceiling": {"median": 0.375, "min": 0.25, "max": 0.5},
        "launches": {"median": 1, "min": 1, "max": 1},
    }


# ---- time


def test_rounds_end_at_the_deadline_but_five_are_taken():
    now = iter(range(100))
    samples = {"a": lambda: 1.0, "b": lambda: 2.0}
    clock = lambda: next(now)  # noqa: E731
    assert in_turn(samples, 20, 3, clock) == {"a": [1.0] * 9, "b": [2.0] * 9}
    assert len(in_turn(samples, 20, -1, clock)["a"]) == gpu_timing.LEAST_ROUNDS
    assert len(in_turn(samples, 7, 1000, clock)["a"]) == 7


def slow(bench):
    time.sleep(5)


def broken(bench):
    raise RuntimeError("out of\nmemory")


def good(bench):
    return {"seconds": {"companion": [1.0, 2.0]}}


def run(cases, path, seconds=60.0, **options):
    result = {"cases": {}}
    until = time.time() + seconds
    code = gpu.run_cases(
        cases, result, path, until, lambda deadline: deadline, **options
    )
    assert json.loads(path.read_text()) == result
    return code, result["cases"]


def test_a_case_that_fails_is_an_error_and_the_others_go_on(tmp_path, capsys):
    cases = [gpu.Case("a", 1, broken), gpu.Case("b", 1, good)]
    code, found = run(cases, tmp_path / "raw.json")
    assert code == 0
    assert found["a"]["error"] == "RuntimeError: out of"
    assert found["b"]["rounds"] == 2
    assert "a: RuntimeError: out of\nb: companion 1.5e+03 ms" in capsys.readouterr().out


def test_a_case_is_cut_off_and_leaves_the_time_of_the_others(tmp_path):
    cases = [gpu.Case("slow", 1, slow), gpu.Case("b", 29, good)]
    start = time.time()
    _, found = run(cases, tmp_path / "raw.json", seconds=6)
    assert time.time() - start < 3
    assert found["slow"]["error"] == "TimeoutError: cut off after 1 s"
    assert found["slow"]["share_s"] == 0.2
    assert found["b"]["share_s"] > 5


def test_when_the_time_is_over_the_rest_is_said_to_be_left_out(tmp_path):
    cases = [gpu.Case("slow", 1, slow), gpu.Case("b", 1, good)]
    code, found = run(cases, tmp_path / "raw.json", seconds=0.3)
    assert code == 0
    assert found["slow"]["error"].startswith("TimeoutError")
    assert found["b"] == {"error": "no time was left"}


def test_after_an_error_that_spoils_the_process_the_next_one_goes_on(tmp_path):
    cases = [gpu.Case("a", 1, broken), gpu.Case("b", 1, good)]
    path = tmp_path / "raw.json"
    code, found = run(cases, path, spoilt=lambda: True)
    assert code == gpu.NEXT_PROCESS
    assert list(found) == ["a"]
    result = json.loads(path.read_text())
    again = gpu.run_cases(cases, result, path, time.time() + 9, lambda deadline: None)
    assert again == 0
    assert list(result["cases"]) == ["a", "b"]


CHILD = """
import json, os, pathlib, sys, time
path = pathlib.Path(sys.argv[1])
raw = json.loads(path.read_text()) if path.exists() else {"started": 5.0, "cases": {}}
done = len(raw["cases"])
if done == 0:  # one is measured, the next ends the process
    raw["cases"]["a"] = {"seconds": {}}
    path.write_text(json.dumps({**raw, "running": "b"}))
    os._exit(9)
if done == 2 and "hang" in sys.argv:
    path.write_text(json.dumps({**raw, "running": "c"}))
    time.sleep(60)
raw["cases"]["d"] = {"seconds": {}}
path.write_text(json.dumps(raw))
"""


def test_a_process_that_dies_is_an_error_and_another_goes_on(tmp_path):
    path = tmp_path / "raw.json"
    command = [sys.executable, "-c", CHILD, str(path)]
    assert gpu.supervise(command, path, 5.0, time.time() + 60) == 0
    cases = json.loads(path.read_text())["cases"]
    assert list(cases) == ["a", "b", "d"]
    assert cases["b"] == {"error": "its process ended with code 9"}


def test_a_process_that_hangs_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "GRACE", 0.0)
    path = tmp_path / "raw.json"
    command = [sys.executable, "-c", CHILD, str(path), "hang"]
    gpu.supervise(command, path, 5.0, time.time() + 2)
    cases = json.loads(path.read_text())["cases"]
    assert cases["c"] == {"error": "its process was killed when the time was over"}


def test_processes_that_get_nowhere_are_not_started_forever(tmp_path):
    command, start = [sys.executable, "-c", "raise SystemExit(7)"], time.time()
    assert gpu.supervise(command, tmp_path / "raw.json", 5.0, start + 30) == 7
    assert time.time() < start + 20


def test_an_earlier_file_of_the_day_is_another_run(tmp_path):
    path = tmp_path / "raw.json"
    gpu.keep(path, {"started": 5.0, "cases": {"a": {}}})
    assert gpu.own(path, 6.0) == {}
    assert gpu.own(path, 5.0)["cases"] == {"a": {}}
    assert [x.name for x in tmp_path.iterdir()] == ["raw.json"]


# ---- right before fast


def halves(count):
    return [(torch.randn(8),) for _ in range(count)]


def unwritten(x):
    output = torch.empty_like(x)
    output[:4] = x[:4]
    return output


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda x: x * 1.05, "relative error is 0.05 and may be 0.01"),
        (lambda x: x * torch.nan, "relative error is nan"),
        (lambda x: x[:4], "the output is"),
    ],
)
def test_what_is_wrong_is_not_timed(form, message):
    with pytest.raises(ValueError, match=message):
        checked(CPU, form, halves(2), lambda x: x, 0.01)


def test_every_input_is_compared_and_the_worst_error_told():
    inputs = halves(3)
    _, error = checked(CPU, lambda x: x.bfloat16(), inputs, lambda x: x, 0.01)
    assert error == max(relative_error(x.bfloat16(), x) for (x,) in inputs)
    last = inputs[-1][0]
    wrong = lambda x: x + (x is last)  # noqa: E731
    with pytest.raises(ValueError, match="relative error"):
        checked(CPU, wrong, inputs, lambda x: x, 0.01)


def test_an_output_that_a_replay_does_not_write_shows():
    class Forgets(Timer):
        """A graph that writes nothing when it is replayed."""

        def record(self, run):
            return (lambda: None), run()

    form = lambda x: x.clone()  # noqa: E731
    with pytest.raises(ValueError, match="relative error is nan"):
        checked(Forgets(torch.device("cpu")), form, halves(1), form, 0.01)


def test_a_peer_that_fails_is_left_out_and_ours_is_not():
    def fails(x):
        raise RuntimeError("no kernel\nmore")

    same = lambda x: x.clone()  # noqa: E731
    rest = (halves(1), same, 0.01, 2, 0.0)
    forms = {"companion": same, "torch": fails, "wrong": lambda x: x + 1}
    found = gpu_timing.side_by_side(CPU, forms, *rest)
    assert list(found["seconds"]) == ["companion"]
    assert found["errors"]["torch"] == "RuntimeError: no kernel"
    assert "its speed does not count" in found["errors"]["wrong"]
    with pytest.raises(RuntimeError, match="no kernel"):
        gpu_timing.side_by_side(CPU, {"companion": fails}, *rest)


def test_the_error_is_that_of_all_parts(monkeypatch):
    found, expected = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([3.0, 1.0, 2.0])
    whole = relative_error(found, expected)
    monkeypatch.setattr(gpu_timing, "PART", 1)
    assert relative_error(found, expected) == whole == (4 / 14) ** 0.5


def test_inputs_fill_the_cache_four_times():
    make = lambda: (torch.zeros(256),)  # noqa: E731  # 1 KiB
    for cache_bytes, count in ((0, 2), (1024, 4), (10**6, 8)):
        timer = Timer(torch.device("cpu"), cache_bytes)
        assert len(sets_of(timer, make)) == count


# ---- what only a GPU has, with stand-ins


class Event:
    """A CUDA event of a clock that only moves when something runs, in milliseconds."""

    now = 0.0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = Event.now

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return end.at - self.at


def test_events_give_seconds_of_one_call(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def run():
        Event.now += 4.0

    assert GpuTimer(torch.device("cuda")).seconds(run, 5) == pytest.approx(0.004)


def test_a_graph_is_replayed_where_its_outputs_are(monkeypatch):
    def graph(run):
        for _ in range(3):
            run()
        output = run()
        return (lambda: output.fill_(7)), output

    monkeypatch.setattr(gpu_timing, "cuda_graph", graph)
    replay, outputs = GpuTimer(torch.device("cuda")).record(lambda: [torch.zeros(2)])
    replay()
    assert outputs[0].tolist() == [7, 7]


def test_the_machine_is_written_down(monkeypatch, tmp_path):
    about = {
        "name": "a GPU",
        "multi_processor_count": 132,
        "total_memory": 80,
        "L2_cache_size": 50,
    }
    properties = SimpleNamespace(**about)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 580.1\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = gpu.gpu_machine(tiny=False)
    assert (found["gpu"], found["driver"]) == ("a GPU", "580.1")
    assert gpu_timing.gpu_timer().cache_bytes == found["cache_bytes"] == 50
    assert set(MACHINE) <= set(found)
    smi.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.driver() is None


def test_a_process_is_spoilt_when_its_gpu_answers_no_more(monkeypatch):
    def lost():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert not gpu.spoilt()
    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    assert gpu.spoilt()


def test_launches_are_operators_and_kernels_but_not_views():
    x = torch.ones(4, 4)
    assert count_launches(lambda: torch.empty_like(x.mT[:2]).unsqueeze(0)) == 0
    assert count_launches(lambda: x.mT.contiguous() + 1) == 2
