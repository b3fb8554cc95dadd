"""The real command: three processes that torchrun starts."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny
import tiny_files

TORCHRUN = Path(sys.executable).with_name("torchrun")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(ranks, *arguments):
    command = [TORCHRUN, "--nproc-per-node", str(ranks), "-m", "companion.parallel"]
    return subprocess.Popen(
        [*command, *arguments, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
        errors="replace",
    )


def test_smollm2_on_three_ranks_writes_what_one_process_writes():
    request = ["The capital of France is", "--max-new-tokens", "8"]
    parallel = start(3, *request)
    alone = subprocess.run(
        [sys.executable, "-m", "companion", *request, "--device", "cpu"],
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
    )
    output, error = parallel.communicate(timeout=100)
    assert parallel.returncode == 0
    assert output == alone.stdout
    assert "Paris" in output
    assert "companion" not in error


def test_two_ranks_for_three_kv_heads_are_refused_once():
    parallel = start(2, "The capital of France is")
    output, error = parallel.communicate(timeout=100)
    assert output == ""
    said = (
        "the model has 9 heads and 3 KV heads, which 2 ranks do not divide: use 1 or 3"
    )
    assert error.count("companion.parallel: ") == error.count(said) == 1
    assert error.count("exitcode  : 2 ") == 2
    assert parallel.returncode != 0


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny.model(
        hidden_size=18,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=100_000,
    )
    return tiny_files.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict()
    )


def test_a_rank_that_is_killed_ends_the_others(checkpoint):
    options = ["--max-new-tokens", "20000", "--model", str(checkpoint)]
    parallel = start(3, "the", *options)
    assert parallel.stdout.read(5).startswith("the")  # all ranks are writing
    [victim] = [
        child
        for child in psutil.Process(parallel.pid).children()
        if child.environ().get("RANK") == "1"
    ]
    victim.kill()
    begin = time.monotonic()
    _, error = parallel.communicate(timeout=60)
    assert time.monotonic() - begin < 30
    assert parallel.returncode != 0
    assert "companion.parallel: rank 0: another rank ended (" in error
