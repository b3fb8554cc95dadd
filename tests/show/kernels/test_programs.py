"""A program of a kernel, watched in the interpreter, which here is another Python."""

import importlib.util
import math

import pytest
import torch

from companion import scaled_dot_product_attention, show
from companion.fast import kernels
from companion.show import example
from companion.show.kernels.programs import on_cpu
from companion.show.kernels.watch import ProgramStep

triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


@pytest.fixture(scope="module")
def inputs():
    x = example.tokens()
    return [x[None, None] @ weight for weight in example.weights()]


@pytest.fixture(scope="module")
def steps(inputs):
    return show.program_steps(
        kernels.attention,
        *inputs,
        q_block=2,
        kv_block=1,
        functions=["attend_to_blocks"],
    )


def last(steps, name):
    return [step.value for step in steps if step.name == name][-1]


@triton
def test_the_numbers_are_those_of_the_recurrence(steps, inputs):
    query, key, value = inputs
    scores = (query @ key.mT / math.sqrt(3))[0, 0]
    row_max = last(steps, "row_max") * math.log(2)
    torch.testing.assert_close(row_max, scores.amax(dim=-1))
    [rescales] = [
        [s.value[0].item() for s in steps if s.name == "rescale" and s.call == call]
        for call in (0,)
    ]
    assert rescales == [0.0, pytest.approx(0.561, abs=5e-4)]
    output = last(steps, "acc")[:, :3] / last(steps, "row_sum")[:, None]
    expected = scaled_dot_product_attention(query, key, value)[0, 0]
    torch.testing.assert_close(output, expected)


@triton
def test_each_statement_of_the_loop_is_there_once_a_pass(steps):
    names = [step.name for step in steps]
    assert names[: len(names) // 2] == names[len(names) // 2 :]
    assert {"scores", "new_max", "shift", "rescale", "weights", "weighted"} < set(names)
    assert steps[0].program == (0, 0, 0)
    assert steps[0].shape == (1, 16)
    assert last(steps, "scores").shape == (2, 1)


@triton
def test_the_table_shows_what_is_not_padding(steps):
    table = show.program_table(steps, ("key 0", "key 1"), {16: 3})
    assert "[0.561, 1.000]" in repr(table).replace("\N{NO-BREAK SPACE}", " ")
    assert "(2, 16)" in repr(table)
    assert 'data-label="key 1"' in table._repr_html_()
    with pytest.raises(ValueError, match="2 passes and 1 names"):
        show.program_table(steps, ("key 0",))


@triton
def test_all_programs_and_their_numbers():
    query, key = torch.randn(1, 2, 4, 2), torch.randn(1, 1, 4, 2)
    steps = show.program_steps(
        kernels.attention,
        *(query, key, key),
        is_causal=True,
        enable_gqa=True,
        q_block=2,
        kv_block=2,
        functions=["attention_forward"],
        program=None,
    )
    blocks = [step.value.item() for step in steps if step.name == "block"]
    assert blocks == [1, 0, 1, 0]
    assert [s.program[0] for s in steps if s.name == "head"] == [0, 1, 2, 3]
    assert [s.value.item() for s in steps if s.name == "head"] == [0, 0, 1, 1]
    pointers = [step for step in steps if step.source.startswith("key +=")]
    assert len(pointers) == 4
    assert all(step.value is None and step.shape == () for step in pointers)


@triton
def test_what_did_not_run_is_refused(inputs):
    with pytest.raises(ValueError, match="nowhere did not run in program"):
        show.program_steps(kernels.attention, *inputs, functions=["nowhere"])


@triton
def test_an_error_of_the_other_python_is_told(inputs):
    with pytest.raises(RuntimeError, match="ValueError"):
        show.program_steps(
            kernels.attention, *inputs, dropout_p=0.5, functions=["attend_to_blocks"]
        )


def test_arguments_are_brought_to_the_cpu():
    x = torch.zeros(2)
    assert on_cpu((x, {"mask": x}, None, 3)) == (x, {"mask": x}, None, 3)


def test_values_of_every_kind_in_a_table():
    def step(source, value):
        return ProgramStep((0, 0, 0), "f", 0, source, "x", value)

    steps = [
        step("x = pointer", None),
        step("x = place", torch.tensor(3)),
        step("x = score", torch.tensor(-math.inf)),
    ]
    shown = repr(show.program_table(steps, ["once"]))
    assert [line.split()[-1] for line in shown.splitlines()[1:]] == [
        "address",
        "3",
        "−∞",
    ]
