"""The GPU's ceilings, and the kernels between a Llama's matrix products, in bfloat16.

Each function measures one case: seconds of each form in each round, and what one call
computes and moves, `flops` and `bytes`.
"""

from collections.abc import Callable
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from gpu_sizes import Bench
from gpu_timing import Form, Inputs, Timer, random, sets_of, side_by_side
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

import companion
from companion.fast import kernels

BOUND = 1e-2  # relative error of bfloat16 against float32
ROWS = 1024  # queries whose exact scores are held at once
BACKENDS = {
    "torch flash": SDPBackend.FLASH_ATTENTION,
    "torch cudnn": SDPBackend.CUDNN_ATTENTION,
}


def compared(
    bench: Bench,
    forms: dict[str, Form],
    make: Callable[[], Inputs],
    exact: Form,
    bound: float = BOUND,
) -> dict:
    """`side_by_side` over as many inputs as the GPU's cache does not hold."""
    timer, sizes = bench.timer, bench.sizes
    inputs = sets_of(timer, make)
    rest = bound, sizes.rounds, bench.deadline
    return side_by_side(timer, forms, inputs, exact, *rest)


# ---- the ceilings, by torch's own product and copy, whichever of their forms is faster


def matmul(bench: Bench) -> dict:
    """A large square product, and the same with the second matrix as a Linear holds it."""
    side = bench.sizes.product

    def make() -> Inputs:
        x, y = (random(bench.timer, side, side) for _ in range(2))
        return x, y, y.mT.contiguous()

    forms: dict[str, Form] = {
        "torch": lambda x, y, _: x @ y,
        "torch, transposed": lambda x, _, weight: x @ weight.mT,
    }
    exact: Form = lambda x, y, _: x.float() @ y.float()  # noqa: E731
    return {**compared(bench, forms, make, exact), "flops": 2 * side**3}


def copy(bench: Bench) -> dict:
    """A large copy on the device; what is read and what is written both count.

    In a CUDA graph `copy_` is not a kernel but a node of its own, which may be slower than
    a kernel that copies, such as the addition of 0.
    """
    size = bench.sizes.copied

    def make() -> Inputs:
        source = random(bench.timer, size // 2)
        return source, torch.empty_like(source)

    forms: dict[str, Form] = {
        "torch": lambda source, target: target.copy_(source),
        "torch, by a kernel": lambda source, target: torch.add(source, 0, out=target),
    }
    found = compared(bench, forms, make, lambda source, _: source, bound=0.0)
    return {**found, "bytes": 2 * size}


# ---- attention


def exact_attention(
    query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False
) -> Tensor:
    """Attention in float32, one sequence, one group of heads and some queries at a time."""
    (batch, heads, length, _), kv_heads = query.shape, key.shape[1]
    group, later = heads // kv_heads, torch.arange(key.shape[2], device=key.device)
    output = torch.empty_like(query, dtype=torch.float32)
    for i, head in ((i, head) for i in range(batch) for head in range(kv_heads)):
        keys, values = key[i, head].float(), value[i, head].float()
        own = slice(head * group, (head + 1) * group)
        for start in range(0, length, ROWS):
            some = query[i, own, start : start + ROWS].float()
            scores = some @ keys.mT * query.shape[-1] ** -0.5
            if is_causal:
                rows = torch.arange(start, start + some.shape[1], device=key.device)
                scores.masked_fill_(later > rows[:, None], -torch.inf)
            output[i, own, start : start + ROWS] = scores.softmax(-1) @ values
    return output


def torch_attention(backend: SDPBackend) -> Form:
    """The attention of torch by one back end alone; it raises where that cannot run."""

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=True
            )

    return attend


def repeated(backend: SDPBackend) -> Form:
    """The same with a key for every query head, for a back end that shares none: the first
    call repeats them, so that this is not timed.
    """
    wide: dict[int, Inputs] = {}

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        group = query.shape[1] // key.shape[1]
        if key.data_ptr() not in wide:
            both = (x.repeat_interleave(group, dim=1) for x in (key, value))
            wide[key.data_ptr()] = tuple(both)
        with sdpa_kernel(backend):
            key, value = wide[key.data_ptr()]
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    return attend


def available(backend: SDPBackend, timer: Timer) -> Form:
    """A back end's form, which repeats keys where it can do no other."""
    query, key = random(timer, 1, 4, 128, 128), random(timer, 1, 2, 128, 128)
    try:
        torch_attention(backend)(query, key, key)
    except RuntimeError:
        return repeated(backend)
    return torch_attention(backend)


def attention(name: str, bench: Bench) -> dict:
    """Causal attention of one sequence beside torch's back ends."""
    config, length = bench.sizes.config, bench.sizes.attention[name]
    heads, kv_heads, head_dim = heads_of(bench)
    forms: dict[str, Form] = {
        "companion": partial(kernels.attention, is_causal=True, enable_gqa=True)
    }
    peers = {name: available(each, bench.timer) for name, each in BACKENDS.items()}
    found = compared(
        bench,
        forms | peers,
        lambda: tuple(
            random(bench.timer, 1, n, length, head_dim)
            for n in (heads, kv_heads, kv_heads)
        ),
        partial(exact_attention, is_causal=True),
    )
    pairs = length * (length + 1) // 2
    flops = 4 * config.num_attention_heads * config.head_dim * pairs
    keys = {peer: form.__qualname__.split(".")[0] for peer, form in peers.items()}
    return {**found, "length": length, "flops": flops, "peer_forms": keys}


def decode_attention(name: str, bench: Bench) -> dict:
    """One query of each sequence against a long cache, all of which is read."""
    batch, length = bench.sizes.batches[name], bench.sizes.cache
    heads, kv_heads, head_dim = heads_of(bench)
    shapes = [(batch, heads, 1, head_dim), *[(batch, kv_heads, length, head_dim)] * 2]
    found = compared(
        bench,
        {"companion": partial(kernels.attention, enable_gqa=True)},
        lambda: tuple(random(bench.timer, *shape) for shape in shapes),
        exact_attention,
    )
    moved = 2 * batch * head_dim * 2 * (heads + kv_heads * length)
    return {**found, "batch": batch, "length": length, "bytes": moved}


def heads_of(bench: Bench) -> tuple[int, int, int]:
    """heads, kv_heads, head_dim."""
    config = bench.sizes.config
    return config.num_attention_heads, config.num_key_value_heads, config.head_dim


# ---- what is around attention: each input is read once and each output written once


def one_launch(
    bench: Bench, form: Form, exact: Form, make: Callable[[], Inputs], moved: int
) -> dict:
    """A kernel's seconds, the bytes that it must move, and its launches, counted."""
    found = compared(bench, {"companion": form}, make, exact)
    inputs = make()
    launches = count_launches(lambda: form(*inputs))
    profiled = profiled_launches(bench.timer, lambda: form(*inputs))
    return {
        **found,
        "bytes": moved,
        "launches": max(launches, profiled or 0),
        "launches_profiled": profiled,
    }


def rms_norm(bench: Bench) -> dict:
    """RMSNorm of every token."""
    timer, config, tokens = bench.timer, bench.sizes.config, bench.sizes.tokens
    hidden, eps = config.hidden_size, config.rms_norm_eps
    return one_launch(
        bench,
        partial(kernels.rms_norm, eps=eps),
        lambda x, weight: companion.rms_norm(x.float(), weight.float(), eps),
        lambda: (random(timer, 1, tokens, hidden), random(timer, hidden)),
        2 * hidden * (2 * tokens + 1),
    )


def add_rms_norm(bench: Bench) -> dict:
    """The addition before a norm and the norm."""
    timer, config, tokens = bench.timer, bench.sizes.config, bench.sizes.tokens
    hidden, eps = config.hidden_size, config.rms_norm_eps

    def exact(x: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        total = x.float() + residual.float()
        return companion.rms_norm(total, weight.float(), eps), total

    def make() -> Inputs:
        shapes = (1, tokens, hidden), (1, tokens, hidden), (hidden,)
        return tuple(random(timer, *shape) for shape in shapes)

    form = partial(kernels.add_rms_norm, eps=eps)
    return one_launch(bench, form, exact, make, 2 * hidden * (4 * tokens + 1))


def rope(bench: Bench) -> dict:
    """RoPE of queries and keys, which lie as the projections leave them."""
    timer, sizes = bench.timer, bench.sizes
    heads, kv_heads, head_dim = heads_of(bench)
    turn = companion.LlamaRotaryEmbedding(sizes.config)

    def make() -> Inputs:
        query, key = (
            random(timer, 1, sizes.tokens, n, head_dim).transpose(1, 2)
            for n in (heads, kv_heads)
        )
        positions = torch.arange(sizes.tokens, device=timer.device)[None]
        return query, key, *turn(query, positions)

    def exact(query: Tensor, key: Tensor, *angles: Tensor) -> tuple[Tensor, ...]:
        wide = [x.float() for x in angles]
        return tuple(companion.apply_rope(x.float(), *wide) for x in (query, key))

    moved = 2 * sizes.tokens * head_dim * (2 * (heads + kv_heads) + 2)
    return one_launch(bench, kernels.apply_rope, exact, make, moved)


def swiglu(bench: Bench) -> dict:
    """The product of a feed-forward's two branches."""
    shape = bench.sizes.tokens, bench.sizes.config.intermediate_size
    return one_launch(
        bench,
        kernels.swiglu,
        lambda gate, up: companion.mlp.swiglu(gate.float(), up.float()),
        lambda: (random(bench.timer, *shape), random(bench.timer, *shape)),
        2 * 3 * shape[0] * shape[1],
    )


# ---- launches

VIEWS = """alias as_strided detach empty empty_like empty_strided expand new_empty permute
    select slice t transpose unbind unsqueeze view _unsafe_view"""


class Launches(TorchDispatchMode):
    """How many of torch's operators run that are no views and no empty memory, and how
    many kernels of Triton's are launched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count, self.inside = 0, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name().split("::")[1].split(".")[0]
        self.count += not self.inside and name not in VIEWS.split()
        return func(*args, **(kwargs or {}))

    @contextmanager
    def kernel(self):  # type: ignore[no-untyped-def]
        """One launch of Triton's, in which torch's operators are the interpreter's."""
        self.count += 1
        self.inside = True
        try:
            yield
        finally:
            self.inside = False


def count_launches(run: Callable[[], object]) -> int:
    """What a call launches, by what Python asks for: the same on a CPU and a GPU."""
    from triton.runtime.jit import KernelInterface

    plain, mode = KernelInterface.__getitem__, Launches()

    def counted(kernel, grid):  # type: ignore[no-untyped-def]
        launch = plain(kernel, grid)

        def call(*args, **options):  # type: ignore[no-untyped-def]
            with mode.kernel():
                return launch(*args, **options)

        return call

    KernelInterface.__getitem__ = counted
    try:
        with mode:
            run()
    finally:
        KernelInterface.__getitem__ = plain
    return mode.count


def profiled_launches(timer: Timer, run: Callable[[], object]) -> int | None:
    """What a call launches, as the GPU's profiler saw it; None where there is none."""
    if timer.device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    try:
        with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
            run()
            torch.cuda.synchronize()
        where = [str(event.device_type) for event in profiler.events() or ()]
        return where.count("DeviceType.CUDA") or None
    except Exception:
        return None
