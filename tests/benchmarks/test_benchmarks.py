"""The benchmarks' own arithmetic, on clocks and figures that are made up."""

import sys
from pathlib import Path

import gguf
import pytest
import tiny
import tiny_files
import torch
from gguf_copies import write_copy
from goals import Goal, fastest, judge, judged, judged_memory, newest, text
from harness import Sentinel, interleaved, ratio
from llama import Llama, installed_version
from report import table
from written import check_tokens, distance, perplexity, written

from companion import load


class Machine:
    """A clock that only moves when something runs, and a list of when it is busy."""

    def __init__(self, busy=()):
        self.now, self.looks, self.pauses, self.busy = 0.0, 0, 0, set(busy)

    def clock(self):
        return self.now

    def pause(self):
        self.pauses += 1

    def look(self):
        """One run of the sentinel; five make a look, the first look is the calibration."""
        look = self.looks // 5
        self.looks += 1
        self.now += 0.002 if look in self.busy else 0.001

    def work(self, seconds):
        def run():
            self.now += seconds

        return run

    def sentinel(self):
        return Sentinel(self.look, self.clock, self.pause, looks=1)


def test_samples_are_taken_in_turn_after_one_that_does_not_count():
    machine, order = Machine(), []
    runs = {
        name: lambda name=name, seconds=seconds: (
            order.append(name),
            machine.work(seconds)(),
        )
        for name, seconds in {"a": 1.0, "b": 3.0}.items()
    }
    samples = interleaved(runs, 3, machine.sentinel())
    assert order == ["a", "b"] * 4
    assert samples["a"] == pytest.approx([1.0] * 3)
    assert samples["b"] == pytest.approx([3.0] * 3)


def test_a_quiet_machine_needs_no_retry():
    machine = Machine()
    sentinel = machine.sentinel()
    interleaved({"a": machine.work(1)}, 4, sentinel)
    assert sentinel.report() == {"best_ms": 1.0, "retried": {}, "kept_busy": {}}
    assert machine.pauses == 0


# look 0 calibrates; each sample looks before (1, 3, 5 ...) and after (2, 4, 6 ...)
@pytest.mark.parametrize(("busy", "calls"), [(1, 2), (2, 3)])
def test_a_busy_machine_puts_a_sample_off_before_it_and_throws_it_away_after(
    busy, calls
):
    machine, count = Machine({busy}), []
    sentinel = machine.sentinel()
    samples = interleaved({"a": lambda: count.append(1)}, 1, sentinel)
    assert len(samples["a"]) == 1
    assert len(count) == calls  # with the one that does not count
    assert sentinel.retried == {"a": 1}
    assert sentinel.kept == {}
    assert machine.pauses == 1


def test_the_sample_thrown_away_is_not_the_one_returned():
    machine, seconds = Machine({2}), iter([0.0, 9.0, 1.0])
    run = lambda: machine.work(next(seconds))()  # noqa: E731
    samples = interleaved({"a": run}, 1, machine.sentinel())
    assert samples["a"] == pytest.approx([1.0])


def test_retries_end_and_what_was_kept_is_reported():
    machine = Machine(range(1, 1000))
    sentinel = machine.sentinel()
    samples = interleaved({"a": machine.work(1)}, 2, sentinel, retries=3)
    assert len(samples["a"]) == 2
    assert sentinel.report() == {
        "best_ms": 1.0,
        "retried": {"a": 6},
        "kept_busy": {"a": 2},
    }


def test_a_run_that_gives_a_float_has_taken_its_own_time():
    machine = Machine()
    samples = interleaved({"a": lambda: 7.5}, 2, machine.sentinel())
    assert samples == {"a": [7.5, 7.5]}


def test_the_best_time_is_bettered_but_never_worsened():
    machine = Machine({0})
    sentinel = machine.sentinel()
    assert sentinel.best == pytest.approx(0.002)
    assert sentinel.idle()
    assert sentinel.best == pytest.approx(0.001)
    machine.busy = {2}
    assert not sentinel.idle()
    assert sentinel.best == pytest.approx(0.001)


def test_ratios_are_paired_round_by_round():
    samples = {"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 8.0, 4.0]}
    times = ratio(samples, "ours", "theirs")
    assert times == {"median": 2.0, "min": 1.0, "max": 4.0}


@pytest.mark.parametrize(
    ("ours", "theirs"), [([], []), ([], [1.0]), ([1.0] * 3, [1.0] * 2)]
)
def test_ratios_of_unequal_rounds_are_refused(ours, theirs):
    with pytest.raises(ValueError, match=r"'ours' has .* rounds and 'theirs'"):
        ratio({"ours": ours, "theirs": theirs}, "ours", "theirs")


def test_one_round_is_compared_with_the_first_of_the_other():
    samples = {"once": [2.0], "often": [1.0, 9.0, 9.0]}
    assert ratio(samples, "once", "often")["median"] == 0.5
    assert ratio(samples, "often", "once")["median"] == 2.0


def test_a_slow_run_has_one_round_and_no_call_before_it():
    machine, order = Machine(), []
    runs = {name: lambda name=name: order.append(name) for name in ("a", "slow", "b")}
    samples = interleaved(runs, 3, machine.sentinel(), once=("slow",))
    assert order == ["a", "b", "a", "slow", "b", "a", "b", "a", "b"]
    assert {name: len(x) for name, x in samples.items()} == {"a": 3, "slow": 1, "b": 3}


def test_prefill_ends_with_the_first_token():
    run = written([5, 6, 7], [10.0, 13.0, 14.0, 16.0])
    assert (run.prefill, run.decode) == (3.0, 3.0)
    assert written([5], [1.0, 2.0]).decode == 0


def test_other_tokens_are_refused_and_those_of_others_are_not():
    check_tokens({"companion a": [1, 2], "llama.cpp": [3, 4]}, "companion a")
    tokens = {"companion a": [1, 2, 3], "companion b": [1, 2, 4]}
    with pytest.raises(
        ValueError, match=r"companion b leaves .* companion a at new token 2"
    ):
        check_tokens(tokens, "companion a")


def test_distance_is_the_mean_cosine_of_rows_and_the_largest_difference():
    expected = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    found = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert distance(found, expected) == {"cosine": 0.5, "max_difference": 2.0}


@pytest.fixture
def small_gguf(tmp_path):
    """A file as the bundled one is: matrices in 4 bits, vectors in float32."""
    model = tiny.model(hidden_size=32, intermediate_size=64)
    kind = gguf.GGMLQuantizationType.Q4_1
    path = tmp_path / "small.gguf"
    return tiny_files.write_gguf(
        path, model.config, model.state_dict(), quantization=kind
    )


@pytest.mark.parametrize(
    ("kind", "dtype"), [("F32", torch.float32), ("BF16", torch.bfloat16)]
)
def test_a_copy_as_gguf_holds_the_same_bits(tmp_path, small_gguf, kind, dtype):
    copied, tokenizer = load(
        write_copy(small_gguf, tmp_path / "copy.gguf", kind), dtype, "cpu"
    )
    model, own = load(small_gguf, dtype, "cpu")
    weights, expected = copied.state_dict(), model.state_dict()
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert copied.config == model.config
    assert tokenizer.encode("Two tokens?") == own.encode("Two tokens?")


def test_a_copy_is_stored_as_it_says(tmp_path, small_gguf):
    reader = gguf.GGUFReader(write_copy(small_gguf, tmp_path / "q.gguf", "Q8_0"))
    assert {(len(x.shape), x.tensor_type.name) for x in reader.tensors} == {
        (1, "F32"),
        (2, "Q8_0"),
    }
    assert reader.fields["general.file_type"].contents() == 7


def test_other_kinds_of_copy_are_refused(tmp_path, small_gguf):
    with pytest.raises(ValueError, match="'Q2_K': use one of F32, BF16, Q8_0"):
        write_copy(small_gguf, tmp_path / "q.gguf", "Q2_K")


WORKER = """
import json, sys
print("a line of llama.cpp's own")
print(json.dumps({"threads": sys.argv[2]}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print("", flush=True)
    print(json.dumps({"tokens": asked["ids"][-1:] * asked["new"], "prefill": 1.0,
                      "decode": 2.0}), flush=True)
"""


def test_a_process_answers_each_question():
    llama = Llama(Path("model.gguf"), (sys.executable, "-c", WORKER))
    assert llama([3, 4], 2).tokens == [4, 4]
    assert llama([5], 1).prefill == 1.0
    llama.close()
    assert llama.process.returncode == 0


def test_a_process_that_ends_is_reported():
    with pytest.raises(RuntimeError, match="ended with code 3"):
        Llama(Path("model.gguf"), (sys.executable, "-c", "raise SystemExit(3)"))


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/false"])
def test_without_llama_cpp_the_row_is_left_out_in_words(capsys, python):
    assert installed_version(python) is None
    assert f"not installed in {python}" in capsys.readouterr().out


def test_a_goal_takes_the_fastest_of_each_side_and_judges_its_median():
    figures = {
        "companion a": [4.0, 4.0],
        "companion b": [2.0, 1.0],
        "hugging face sdpa": [6.0, 4.0],
        "hugging face eager": [9.0, 9.0],
    }
    case = {"case": {"seconds": figures}}
    goal = Goal("g", "f", "case", at_least=3.5)
    line = judged(goal, case)
    assert (line["ours"], line["theirs"]) == ("companion b", "hugging face sdpa")
    assert line["ratio"] == {"median": 3.5, "min": 3.0, "max": 4.0}
    assert line["reached"] is True
    missed = judged(Goal("g", "f", "case", at_least=3.51), case)
    assert missed["reached"] is False
    assert "MISSED" in text(missed)
    assert "3.50x (3.00-4.00), companion b over hugging face sdpa" in text(missed)


def test_a_goal_without_figures_is_neither_reached_nor_missed():
    goal = Goal("g", "f", "case", 1.0)
    for figures in (None, {}, {"case": {"seconds": {"companion a": [1.0]}}}):
        line = judged(goal, figures)
        assert line["reached"] is None
        assert "not measured" in text(line)
    lines = judge(lambda name: None)
    assert all(line["reached"] is None for line in lines)
    assert len({line["file"] for line in lines}) == 6


def test_the_fastest_is_by_median_and_by_the_beginning_of_a_name():
    seconds = {"x one": [1.0, 9.0, 9.0], "x two": [5.0, 5.0, 5.0], "y": [0.1]}
    assert fastest(seconds, ("x",)) == "x two"
    assert fastest(seconds, ("z",)) is None


@pytest.mark.parametrize(
    ("ours", "reached", "times"), [(50, True, 2.0), (200, False, 0.5)]
)
def test_memory_is_that_of_our_fastest_form(ours, reached, times):
    case = {
        "seconds": {
            "companion slow": [2.0],
            "companion fast": [1.0],
            "hugging face sdpa": [3.0],
        },
        "peak_bytes": {
            "companion slow": 1,
            "companion fast": ours,
            "hugging face sdpa": 100,
        },
    }
    line = judged_memory("float32", {"float32_2048": case})
    assert (line["reached"], line["ratio"]["median"]) == (reached, times)
    assert line["ours"] == "companion fast"


def test_attention_is_read_from_its_own_file():
    case = {"heads": 9, "length": 2048, "dtype": "bfloat16"}
    case["raw_seconds"] = {"blocks": [1.0], "torch": [1.4]}
    case["peak_bytes"] = {"blocks": 150, "torch": 100}
    other = {**case, "heads": 32, "raw_seconds": {"blocks": [9.0], "torch": [1.0]}}
    lines = judge(
        lambda name: {"cases": [other, case]} if name == "attention-goals" else None
    )
    speed, memory = (line for line in lines if line["reached"] is not None)
    assert (speed["name"], speed["at_least"]) == ("attention 2048 bfloat16", 1.5)
    assert (speed["ratio"]["median"], speed["reached"]) == (1.4, False)
    assert memory["name"] == "attention 2048 bfloat16, memory"
    assert (memory["ratio"]["median"], memory["reached"]) == (0.667, True)


def test_perplexity_is_the_number_of_equally_likely_tokens():
    following = torch.tensor([0, 3])
    assert perplexity(torch.zeros(2, 8), following) == pytest.approx(8)
    sure = torch.eye(8)[following] * 50
    assert perplexity(sure, following) == pytest.approx(1)


def test_the_newest_file_of_that_name_is_read(tmp_path):
    for name in ("a-2026-01-02", "a-2026-01-10", "a-b-2026-02-01"):
        (tmp_path / f"{name}.json").write_text(f'"{name}"')
    assert newest("a", tmp_path) == "a-2026-01-10"
    assert newest("c", tmp_path) is None


def test_a_table_shows_pace_and_ratios():
    case = {
        "count": 64,
        "seconds": {"companion": [1.0, 2.0], "hugging face sdpa": [2.0, 8.0]},
    }
    ours, theirs = table("decode", case).splitlines()[1:]
    assert "42.7 tok/s" in ours
    assert "3.00 (2.00-4.00) x hugging face sdpa" in ours
    assert "1.00 (1.00-1.00)" in theirs
    named = {**case, "steps": 8, "wait": "time between tokens"}
    head, ours, _ = table("decode", named).splitlines()
    assert head == "decode, 2 rounds; tok/s, time between tokens, ms"
    assert "42.7 tok/s 187.5 ms" in ours
    del case["count"]
    assert "1500.0 ms" in table("layer", case)
