"""`make gpu-check` without a GPU, on a machine that lacks what it says it does not need."""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import gpu
import gpu_check
import outcomes
import pytest
import torch
from weekly import mostly

from companion.fast.kernels.goals import GPU_GOALS

ROOT = Path(gpu_check.__file__).parents[1]


def program(*options, path=""):
    """Run the check as on such a machine: `path` is searched for modules first."""
    environ = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu_check.py", *map(str, options)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=300,
    )


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory, lacking):
    """What was printed, and the folder of what was written; the benchmark's cases are those
    of test_gpu_benchmark, so here it has no time for them.
    """
    out = tmp_path_factory.mktemp("out")
    ran = program("--tiny", "--seconds-bench", 1, "--out", out, path=lacking)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout, out


def test_the_tests_run_where_much_is_absent(tiny_run):
    printed, out = tiny_run
    found = gpu_check.outcomes(out / "gpu-tests.jsonl")
    passed = [name for name, each in found.items() if each["outcome"] == "passed"]
    assert len(passed) == 4
    assert all(found[name]["seconds"] > 0 for name in passed)
    assert all("[cpu" in name for name in passed)
    skipped = {x["message"] for x in found.values() if x["outcome"] == "skipped"}
    assert skipped <= {f"needs {name}" for name in outcomes.OPTIONAL}
    for name in ("attention", "decode", "layers", "parts", "strides"):
        assert f"tests/fast/kernels/test_kernel_{name}.py" not in found
    for name in ("fast/test_fast_attention", "test_attention", "test_model"):
        assert f"tests/{name}.py" not in found
    assert printed.startswith(f"tests: 4 passed, {len(found) - 4} skipped after ")
    suites = ET.parse(out / "gpu-tests.xml").getroot()
    assert len(suites.findall(".//testcase")) == len(found)


def test_the_benchmark_follows_with_its_goals_last(tiny_run):
    printed, out = tiny_run
    (path,) = out.glob("gpu-????-??-??.json")
    cases = json.loads(path.read_text())["cases"]
    assert len(cases) == len(gpu.cases())
    assert cases["16k tokens, RoPE"] == {"error": "no time was left"}
    lines = printed.strip().splitlines()
    last = lines[-len(GPU_GOALS) :]
    for line, goal in zip(last, GPU_GOALS, strict=True):
        assert line.startswith(goal.name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    ran = program("--out", tmp_path / "out")
    assert ran.returncode == 1
    assert ran.stderr.strip() == gpu_check.NO_GPU
    assert not list(tmp_path.iterdir())


# ---- its parts

SOME_TESTS = """
import pytest
@pytest.mark.parametrize("number", [1, 2])
def test_good(number): pass
def test_bad(): assert 1 == 2, "one\\ntwo"
@pytest.fixture
def broken(): raise RuntimeError("no\\nmemory")
def test_fixture(broken): pass
def test_left_out(): pytest.skip("not here")
"""


def outcomes_of(folder, *options, **files):
    """What the plugin writes of a run over some files, and pytest's exit code."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    path, benchmarks = folder / "out.jsonl", str(ROOT / "benchmarks")
    command = [sys.executable, "-m", "pytest", folder, "--rootdir", folder]
    command += ["-c", os.devnull, "-p", "outcomes", "--outcomes", path]
    command += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environ = {**os.environ, "PYTHONPATH": benchmarks}
    ran = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environ, cwd=folder
    )
    return gpu_check.outcomes(path), ran.returncode


@pytest.mark.parametrize(
    "options", mostly([(), ("-n", "2", "--dist", "load")], ()), ids=str
)
def test_outcomes_are_written_with_the_reason(options, tmp_path):
    found, code = outcomes_of(
        tmp_path,
        *options,
        test_some=SOME_TESTS,
        test_reads_files="import gguf_of_another_name\n",
        gguf="raise ModuleNotFoundError(\"No module named 'gguf'\")",
        test_optional="import gguf\n",
    )
    assert code == 1
    assert {name.split("/")[-1]: each["outcome"] for name, each in found.items()} == {
        "test_some.py::test_good[1]": "passed",
        "test_some.py::test_good[2]": "passed",
        "test_some.py::test_bad": "failed",
        "test_some.py::test_fixture": "failed",
        "test_some.py::test_left_out": "skipped",
        "test_reads_files.py": "failed",
        "test_optional.py": "skipped",
    }
    said = gpu_check.summary(found, code, 5.0)
    assert said[0] == "tests: 3 failed, 2 passed, 2 skipped after 5 s"
    assert "  failed test_some.py::test_bad: AssertionError: one" in said
    assert "  failed test_some.py::test_fixture: RuntimeError: no" in said
    assert "  skipped test_some.py::test_left_out: not here" in said
    assert "  skipped test_optional.py: needs gguf" in said
    missing = "ModuleNotFoundError: No module named 'gguf_of_another_name'"
    assert f"  failed test_reads_files.py: {missing}" in said


SPOILT = """
import os, outcomes
spoilt_here = []
outcomes.spoilt = lambda: bool(spoilt_here)
"""
SPOILS = """
import conftest, pytest
@pytest.mark.parametrize("number", range(8))
def test_each(number):
    if number == 3:
        conftest.spoilt_here.append(1)
    assert not conftest.spoilt_here
"""


def test_after_an_error_that_spoils_the_gpu_another_process_goes_on(tmp_path):
    files = {"conftest": SPOILT, "test_spoils": SPOILS}
    found, code = outcomes_of(tmp_path, "-n", "1", "--dist", "load", **files)
    assert code == 1
    names = [f"test_spoils.py::test_each[{number}]" for number in range(8)]
    assert set(names) <= set(found)
    bad = [name for name in names if found[name]["outcome"] != "passed"]
    assert bad == names[3:4]
    assert "assert not" in found[bad[0]]["message"]  # and not that its process ended


def test_without_xdist_it_ends_there(tmp_path):
    files = {"conftest": SPOILT, "test_spoils": SPOILS}
    found, code = outcomes_of(tmp_path, "-p", "no:xdist", **files)
    assert code == 1
    assert [each["outcome"] for each in found.values()] == 3 * ["passed"] + ["failed"]


def running(pid):
    """Whether a process is there, and not just its remains."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are seen in /proc")
def test_what_takes_too_long_is_interrupted_with_what_it_has_started(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "try:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
        "    time.sleep(float(sys.argv[1]))\n"
    )
    start = time.time()
    for stubborn, grace in (("0", 30.0), ("60", 3.0)):
        log = tmp_path / "log"
        command = [sys.executable, "-c", code, stubborn]
        environ = dict(os.environ)
        assert gpu_check.run_for(command, 4.0, log, environ, grace) is None
        pid, said = log.read_text().split()
        assert said == "interrupted"
        while running(pid) and time.time() - start < 30:
            time.sleep(0.05)
        assert not running(pid)
    assert time.time() - start < 30
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert gpu_check.run_for(command, 30.0, log, environ) == 3


def test_the_summary_says_what_did_not_run():
    found = {"a": {"outcome": "passed", "message": ""}}
    (line,) = gpu_check.summary(found, None, 240.0)
    assert line == "tests: 1 passed after 240 s, cut off: the others did not run"
    assert gpu_check.summary({}, 4, 1.0) == ["tests: none ran after 1 s"]
