"""The kernels compile for real GPUs, as their launchers call them, on a machine without one.

Triton compiles for a target that it is told; only the last step, loading, needs the GPU.
"""

import re
import subprocess
from pathlib import Path

import pytest
import torch
from weekly import mostly

from companion.fast import kernels
from companion.fast.kernels import refusals

triton = pytest.importorskip("triton", reason="Triton is made for Linux alone")
BFLOAT16 = torch.bfloat16
HEADS = {"16 of 4": (16, 4, 128), "9 of 3": (9, 3, 64), "odd": (3, 1, 80)}


class Target:
    """A driver of a GPU that is not there: it answers what compiling asks."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self):
        return self.capability  # what is compiled is kept for each device

    def get_current_stream(self, device=None):
        return 0


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Makes launches compile, for a capability and with options; gives the list of them."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    made, real = [], JITFunction.run

    def start(capability, **more):
        def run(self, *args, grid, warmup, **options):
            kernel = real(self, *args, grid=grid, warmup=True, **options, **more)
            made.append((self.fn.__name__, kernel))

        monkeypatch.setattr(driver, "_active", Target(capability))
        monkeypatch.setattr(JITFunction, "run", run)
        return made

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(refusals, "check_runs", lambda *_: None)
    return start


def tensors(q_len, kv_len, heads=(16, 4, 128), dtype=BFLOAT16):
    """Query, key and value as a layer cuts them out of its projections."""
    q_heads, kv_heads, head_dim = heads
    query = torch.randn(2, q_len, q_heads, head_dim, dtype=dtype)
    key = torch.randn(2, kv_len, kv_heads, head_dim, dtype=dtype)
    return [x.transpose(1, 2) for x in (query, key, key.clone())]


def ptx(made):
    """Assembly of each kernel, by its name."""
    return {name: kernel.asm["ptx"] for name, kernel in made}


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
@pytest.mark.parametrize(
    ("capability", "heads"), [(80, "16 of 4"), *((90, name) for name in HEADS)]
)
def test_attention(compiled, capability, heads):
    heads = HEADS[heads]
    made = compiled(capability)
    causal = {"is_causal": True, "q_block": 64, "kv_block": 32}
    kernels.attention(*tensors(40, 50, heads), enable_gqa=True, **causal)
    masks = torch.ones(50, dtype=torch.bool), torch.zeros(2, 1, 1, 50)
    for mask in (None, *masks):
        options = {"attn_mask": mask, "enable_gqa": True, "kv_block": 64}
        kernels.attention(*tensors(1, 50, heads), **options)
        kernels.attention(*tensors(40, 50, heads), **options, q_block=64)
    names = [name for name, _ in made]
    assert names == ["attention_forward"] + 3 * [
        "attend_to_split",
        "merge_splits",
        "attention_forward",
    ]


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_attention_of_other_dtypes(compiled, dtype):
    made = compiled(90)
    options = {"is_causal": True, "q_block": 32, "kv_block": 16}
    kernels.attention(*tensors(40, 40, dtype=dtype), enable_gqa=True, **options)
    kernels.attention(*tensors(1, 40, dtype=dtype), enable_gqa=True, kv_block=32)
    # float32 is not multiplied as tf32
    assert not any("tf32" in code for code in ptx(made).values())


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_others_read_and_write_16_bytes_at_a_time(compiled, capability):
    made = compiled(capability)
    x, weight = torch.randn(3, 4096, dtype=BFLOAT16), torch.randn(4096, dtype=BFLOAT16)
    kernels.rms_norm(x, weight, 1e-5)
    kernels.add_rms_norm(x, x, weight, 1e-5)
    kernels.swiglu(x, x)
    query, key, _ = tensors(40, 40, (32, 8, 128))
    angles = torch.randn(1, 40, 128, dtype=BFLOAT16)
    kernels.apply_rope(query, key, angles, angles)
    assert [name for name, _ in made] == [
        "rms_norm_forward",
        "rms_norm_forward",
        "swiglu_forward",
        "rope_forward",
    ]
    for code in ptx(made).values():
        assert "ld.global.v4.b32" in code
        assert "st.global.v4.b32" in code


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
def test_tensor_cores_and_loads_under_way_on_hopper(compiled):
    made = compiled(90, num_warps=8, num_stages=2)
    options = {"is_causal": True, "q_block": 128, "kv_block": 128}
    kernels.attention(*tensors(256, 256, (32, 8, 128)), enable_gqa=True, **options)
    code = ptx(made)["attention_forward"]
    assert "wgmma.mma_async" in code
    assert "cp.async" in code
    assert "ex2.approx" in code


def resources(kernel, path):
    """What ptxas gave a kernel: registers of a thread, and bytes of its stack."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        pytest.skip("this Triton brings no cuobjdump")
    path.write_bytes(kernel.asm["cubin"])
    said = subprocess.run(
        [tool, "-res-usage", path], capture_output=True, text=True, check=True
    ).stdout
    return {name: int(n) for name, n in re.findall(r"(REG|STACK):(\d+)", said)}


def on_tensor_cores():
    """The sizes that are tried for 16 bits: the tile's, warps, stages."""
    from companion.fast.kernels.forward import CONFIGURATIONS, for_dtype

    kept = for_dtype(CONFIGURATIONS, {"query": torch.empty(1, dtype=BFLOAT16)})
    return [(*c.kwargs.values(), c.num_warps, c.num_stages) for c in kept]


SIZES = on_tensor_cores()
LARGEST, *OTHERS = SIZES  # Hopper's: half of what it holds is in shared memory there


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
@pytest.mark.parametrize(
    "tried",
    [
        *mostly(((90, each) for each in SIZES), (90, LARGEST)),
        *mostly(((80, each) for each in OTHERS), (80, OTHERS[0])),
    ],
    ids=str,
)
@pytest.mark.parametrize("heads", ["16 of 4", "9 of 3"])
def test_registers_are_enough(compiled, tmp_path, heads, tried):
    """A variable that finds no register goes to memory, the slowest there is; the newest
    Triton leaves two of hundreds there on the older GPU.
    """
    capability, (q_block, kv_block, num_warps, num_stages) = tried
    made = compiled(capability, num_warps=num_warps, num_stages=num_stages)
    options = {"is_causal": True, "q_block": q_block, "kv_block": kv_block}
    kernels.attention(*tensors(256, 256, HEADS[heads]), enable_gqa=True, **options)
    used = resources(made[0][1], tmp_path / "kernel.cubin")
    assert used["STACK"] <= 8
    assert used["REG"] <= 255


def test_float32_gets_small_tiles_and_others_large_ones():
    from companion.fast.kernels.forward import CONFIGURATIONS, for_dtype

    kept = {
        dtype: for_dtype(CONFIGURATIONS, {"query": torch.empty(1, dtype=dtype)})
        for dtype in (torch.float32, torch.float16, BFLOAT16)
    }
    assert kept[torch.float16] == kept[BFLOAT16]
    assert not set(kept[torch.float32]) & set(kept[BFLOAT16])
    assert len(kept[torch.float32]) + len(kept[BFLOAT16]) == len(CONFIGURATIONS)
    assert max(c.kwargs["KV_BLOCK"] for c in kept[torch.float32]) == 32


@pytest.mark.filterwarnings("ignore:.*FP_FUSION")
def test_tuning_tries_once_for_each_power_of_two(compiled, monkeypatch):
    """The launchers' own path on a GPU, with a trial that takes the first."""
    from triton.runtime.autotuner import Autotuner

    tried = []

    def trial(self, *arguments, config, **constants):
        tried.append(config)
        return [float(len(tried))] * 3

    monkeypatch.setattr(Autotuner, "_bench", trial)
    made = compiled(90)
    for kv_len, trials in ((600, 5), (700, 0), (1100, 5)):
        tried.clear()
        kernels.attention(*tensors(9, kv_len), enable_gqa=True, is_causal=True, past=4)
        assert len(tried) == trials
    for kv_len, trials in ((600, 4), (700, 0), (1100, 4)):
        tried.clear()
        kernels.attention(*tensors(1, kv_len), enable_gqa=True)
        assert len(tried) == trials
    forward, decode = made[:3], made[3:]
    assert {name for name, _ in forward} == {"attention_forward"}
    assert [name for name, _ in decode] == 3 * ["attend_to_split", "merge_splits"]
    assert all("wgmma.mma_async" in kernel.asm["ptx"] for _, kernel in forward)
