"""What the kernels refuse, in words that name what takes it instead: no GPU or Triton is needed."""

import importlib.util
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
import torch
from refusal import said

from companion import fast
from companion.fast import kernels
from companion.fast.kernels import refusals

TILED = "fast.attention['tiled']"
SAME = ((2, 4, 3, 8),) * 3
CALLS = {
    "triton": (kernels.attention, SAME, "query", TILED),
    "rms_norm": (
        lambda x, weight: kernels.rms_norm(x, weight, 1e-5),
        ((3, 8), (8,)), "x", "companion.rms_norm",
    ),
    "add_rms_norm": (
        lambda x, residual, weight: kernels.add_rms_norm(x, residual, weight, 1e-5),
        ((3, 8), (3, 8), (8,)), "x", "companion.rms_norm",
    ),
    "apply_rope": (
        kernels.apply_rope, ((2, 4, 3, 8), (2, 2, 3, 8), (2, 3, 8), (2, 3, 8)),
        "query", "companion.apply_rope",
    ),
    "swiglu": (kernels.swiglu, ((3, 8), (3, 8)), "gate", "companion.swiglu"),
}  # fmt: skip
EACH = pytest.mark.parametrize(
    ("run", "shapes", "first", "instead"), CALLS.values(), ids=CALLS
)


def zeros(*shapes, **options):
    return [torch.zeros(shape, **options) for shape in shapes]


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """What is checked after a GPU or the interpreter was found."""
    monkeypatch.setattr(refusals, "check_runs", lambda *_: None)


# ---- where no kernel runs


def test_a_gpu_that_is_not_the_current_one(monkeypatch):
    monkeypatch.setattr(refusals, "installed", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    there, here = (SimpleNamespace(device=torch.device(f"cuda:{i}")) for i in (1, 0))
    refusals.check_runs("swiglu", "companion.swiglu", "gate", here)
    with pytest.raises(ValueError, match=said("gate is on cuda:1", "set_device(1)")):
        refusals.check_runs("swiglu", "companion.swiglu", "gate", there)


@EACH
def test_a_cpu_without_the_interpreter(run, shapes, first, instead, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(refusals, "installed", lambda: True)
    quotes = (f"{first} is on cpu", "CUDA GPU", instead, "TRITON_INTERPRET=1")
    with pytest.raises(ValueError, match=said(*quotes)):
        run(*zeros(*shapes))


@pytest.mark.parametrize(("value", "means"), [("1", True), ("0", False), ("", False)])
def test_what_starts_the_interpreter(value, means, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", value)
    assert refusals.interpreted() is means


@EACH
def test_triton_is_missing(run, shapes, first, instead, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda n, *a: None if n == "triton" else found(n, *a),
    )
    quotes = ("Triton", "not installed", "shape-of-attention[gpu]", instead)
    with pytest.raises(ValueError, match=said(*quotes)):
        run(*zeros(*shapes))


def test_importing_needs_no_triton():
    """Nor does it import a kernel where there is a Triton, as torch may have done."""
    code = textwrap.dedent("""
        import sys
        if sys.argv[1:] == ["without"]:
            sys.modules["triton"] = None
        import torch
        from companion import fast
        query, key, value = torch.randn(3, 1, 2, 5, 8).unbind()
        for name in ("plain", "tiled", "blocks", "sdpa"):
            fast.attention[name](query, key, value, is_causal=True)
        kernels = {f"companion.fast.kernels.{name}" for name in
                   ("language", "forward", "decode", "norm", "rope", "mlp")}
        assert not kernels & set(sys.modules), kernels & set(sys.modules)
        try:
            fast.attention["triton"](query, key, value)
        except ValueError as refusal:
            print(refusal)
    """)
    for arguments in ((), ("without",)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "triton" in done.stdout.lower()
    assert "not installed" in done.stdout


# ---- what no kernel takes


@EACH
def test_float64(run, shapes, first, instead, as_on_a_gpu):
    quotes = (f"{first} is torch.float64", "torch.bfloat16", ".to(dtype)", instead)
    with pytest.raises(ValueError, match=said(*quotes)):
        run(*zeros(*shapes, dtype=torch.float64))


@EACH
def test_two_dtypes(run, shapes, first, instead, as_on_a_gpu):
    tensors = zeros(*shapes)
    tensors[-1] = tensors[-1].bfloat16()
    with pytest.raises(ValueError, match=said("torch.float32", "torch.bfloat16")):
        run(*tensors)


@EACH
def test_two_devices(run, shapes, first, instead, as_on_a_gpu):
    tensors = zeros(*shapes)
    tensors[-1] = tensors[-1].to("meta")
    with pytest.raises(ValueError, match=said("cpu", "meta")):
        run(*tensors)


@EACH
@pytest.mark.parametrize("which", [0, -1])
def test_gradients(run, shapes, first, instead, which, as_on_a_gpu):
    tensors = zeros(*shapes)
    tensors[which].requires_grad_()
    quotes = ("requires a gradient", "torch.no_grad()", instead)
    with pytest.raises(ValueError, match=said(*quotes)):
        run(*tensors)


# ---- attention


def test_dropout(as_on_a_gpu):
    quotes = ("dropout_p is 0.1", "triton", "companion.scaled_dot_product_attention")
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.attention["triton"](*zeros(*SAME), dropout_p=0.1)


@pytest.mark.parametrize(
    ("shapes", "quotes"),
    [
        (((3, 257), (5, 257), (5, 8)), ("query has head_dim 257", "256", TILED)),
        (((3, 8), (5, 8), (5, 257)), ("value has value_dim 257", "256", TILED)),
        (((3, 8), (5, 8), (5, 0)), ("value has value_dim 0",)),
    ],
)
def test_widths(shapes, quotes, as_on_a_gpu):
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.attention(*zeros(*shapes))


@pytest.mark.parametrize("which", [0, 2])
def test_five_axes(which, as_on_a_gpu):
    shapes = [(3, 8)] * 3
    shapes[which] = (1, 2, 2, 3, 8)
    if which == 2:
        shapes[1] = shapes[2]
    quotes = ("(1, 2, 2, 3, 8)", "query.flatten(0, -4)", TILED)
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.attention(*zeros(*shapes))


@pytest.mark.parametrize(("past", "is_causal"), [(2, False), (-1, True), (-1, False)])
def test_past_without_a_meaning(past, is_causal, as_on_a_gpu):
    quotes = (f"past is {past}", f"is_causal {is_causal}", "is_causal=True")
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.attention(*zeros(*SAME), past=past, is_causal=is_causal)


@pytest.mark.parametrize("name", ["q_block", "kv_block"])
@pytest.mark.parametrize("size", [0, -16])
def test_block_that_holds_nothing(name, size, as_on_a_gpu):
    with pytest.raises(ValueError, match=said(f"{name} is {size}", "at least 1")):
        kernels.attention(*zeros(*SAME), **{name: size})


# ---- the others


def test_a_norm_of_another_width(as_on_a_gpu):
    with pytest.raises(ValueError, match=said("(3, 8)", "(7,)", "must be 7")):
        kernels.rms_norm(*zeros((3, 8), (7,)), 1e-5)
    with pytest.raises(ValueError, match=said("(3, 8)", "(7,)", "must be 7")):
        kernels.add_rms_norm(*zeros((3, 8), (3, 8), (7,)), 1e-5)


def test_a_norm_of_a_number(as_on_a_gpu):
    with pytest.raises(ValueError, match=said("()", "(7,)")):
        kernels.rms_norm(*zeros((), (7,)), 1e-5)


def test_a_residual_of_another_shape(as_on_a_gpu):
    with pytest.raises(ValueError, match=said("x is (3, 8)", "residual (1, 8)")):
        kernels.add_rms_norm(*zeros((3, 8), (1, 8), (8,)), 1e-5)


def test_a_row_too_wide_for_a_program(as_on_a_gpu):
    quotes = ("65537 features", "65536", "companion.rms_norm")
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.rms_norm(*zeros((1, 65537), (65537,)), 1e-5)


ROPE = {
    "three axes": (
        ((4, 3, 8), (2, 2, 3, 8)),
        ("query is (4, 3, 8)", "key (2, 2, 3, 8)"),
    ),
    "another batch": (((2, 4, 3, 8), (1, 2, 3, 8)), ("the same tokens",)),
    "another length": (((2, 4, 3, 8), (2, 2, 4, 8)), ("the same tokens",)),
    "another head_dim": (((2, 4, 3, 8), (2, 2, 3, 6)), ("head_dim 8", "key 6")),
    "an odd head_dim": (((2, 4, 3, 7), (2, 2, 3, 7)), ("head_dim 7", "even")),
}


@pytest.mark.parametrize(("shapes", "quotes"), ROPE.values(), ids=ROPE)
def test_rope_of_queries_and_keys(shapes, quotes, as_on_a_gpu):
    angles = (2, 3, shapes[0][-1])
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.apply_rope(*zeros(*shapes, angles, angles))


@pytest.mark.parametrize(
    ("cos", "sin"),
    [
        ((3, 3, 8), (3, 3, 8)),
        ((2, 4, 8), (2, 4, 8)),
        ((2, 3, 4), (2, 3, 4)),
        ((3, 8), (3, 8)),
        ((2, 3, 8), (1, 3, 8)),
    ],
)
def test_rope_by_other_angles(cos, sin, as_on_a_gpu):
    quotes = (f"cos is {cos}", f"sin {sin}", "(2, 3, 8)", "batch of 1")
    with pytest.raises(ValueError, match=said(*quotes)):
        kernels.apply_rope(*zeros((2, 4, 3, 8), (2, 2, 3, 8), cos, sin))


def test_swiglu_of_two_shapes(as_on_a_gpu):
    with pytest.raises(ValueError, match=said("gate is (3, 8)", "up (1, 8)")):
        kernels.swiglu(*zeros((3, 8), (1, 8)))
