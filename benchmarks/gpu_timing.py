"""Times work on a GPU by its own clock, and on a CPU, where the tests run it, by the wall's.

A form is recorded as a CUDA graph, over several inputs in turn that together are larger
than the GPU's cache, so that neither Python nor a warm cache is measured. Before it is
timed, its outputs are filled with NaN, and what a replay puts there is compared.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion.fast.recorded import cuda_graph

LEAST_SECONDS = (
    0.02  # of one sample: the clocks' ticks and the first launch are nothing
)
MOST_CALLS = 500
LEAST_ROUNDS = 5  # when compiling has taken a case's share of the time
CACHES = 4  # the inputs of one graph fill the GPU's cache so many times
SETS = (2, 8)  # at least and at most so many inputs
LARGE = 2**30  # bytes: one such input is enough
PART = 2**26  # elements that are compared at once, as float64 takes room

Inputs = tuple[Tensor, ...]
Run = Callable[[], object]
Sample = Callable[[], float]  # seconds
Form = Callable[..., Any]  # a tensor or several from one input
Recording = tuple[Run, list]  # what runs it again, and where its outputs then are


@dataclass(frozen=True)
class Timer:
    """Where work runs; this one's clock is the wall's, and it records nothing."""

    device: torch.device
    cache_bytes: int = 0

    def seconds(self, run: Run, calls: int) -> float:
        """Of one call, when several follow each other."""
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    def record(self, run: Callable[[], list]) -> Recording:
        """In place of a CUDA graph: run as it is, with the outputs where they were."""
        outputs = run()

        def replay() -> None:
            for held, new in zip(tensors(outputs), tensors(run()), strict=True):
                held.copy_(new)

        return replay, outputs


class GpuTimer(Timer):
    """CUDA's events around the calls, and its graphs."""

    def seconds(self, run: Run, calls: int) -> float:
        """Of one call, when several follow each other."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000 / calls

    def record(self, run: Callable[[], list]) -> Recording:
        """`run` as one CUDA graph."""
        outputs: list = []

        def kept() -> Tensor:
            outputs[:] = run()
            return outputs[-1]

        replay, _ = cuda_graph(kept)
        return replay, outputs


def gpu_timer() -> GpuTimer:
    """The timer of the first GPU."""
    device = torch.device("cuda")
    return GpuTimer(device, torch.cuda.get_device_properties(device).L2_cache_size)


def tensors(outputs: Iterable) -> list[Tensor]:
    """The tensors of all outputs, of which each is one or several."""
    return [
        x
        for each in outputs
        for x in ((each,) if isinstance(each, Tensor) else tuple(each))
    ]


def sets_of(timer: Timer, make: Callable[[], Inputs]) -> list[Inputs]:
    """As many random inputs as fill the GPU's cache four times."""
    first = make()
    size = sum(x.nbytes for x in first)
    least = 1 if size > LARGE else SETS[0]
    count = min(max(least, math.ceil(CACHES * timer.cache_bytes / size)), SETS[1])
    return [first, *(make() for _ in range(count - 1))]


def relative_error(found: Tensor, expected: Tensor) -> float:
    """`‖found - expected‖ / ‖expected‖` in float64; NaN if one of them is not a number."""
    if found.shape != expected.shape:
        raise ValueError(f"the output is {found.shape} and not {expected.shape}")
    far = size = torch.zeros((), dtype=torch.float64, device=found.device)
    parts = (x.reshape(-1).split(PART) for x in (found, expected))
    for ours, exact in zip(*parts, strict=True):
        exact = exact.double()
        far = far + (ours.double() - exact).square().sum()
        size = size + exact.square().sum()
    return (far / size).sqrt().item()


def check(error: float, bound: float) -> float:
    """Refuse to time what is wrong; NaN is never right.

    Raises: ValueError that says how wrong.
    """
    if not error <= bound:
        raise ValueError(
            f"the relative error is {error:.3g} and may be {bound:.3g}: its speed does "
            "not count"
        )
    return error


def said(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def recorded(timer: Timer, form: Form, inputs: Sequence[Inputs]) -> Recording:
    """All inputs through one form, as one recording."""
    return timer.record(lambda: [form(*each) for each in inputs])


def checked(
    timer: Timer, form: Form, inputs: Sequence[Inputs], exact: Form, bound: float
) -> tuple[Run, float]:
    """What replays a form over all inputs, and its largest relative error on them.

    Raises: ValueError when that is above the bound.
    """
    replay, outputs = recorded(timer, form, inputs)
    for output in tensors(outputs):
        output.fill_(torch.nan)  # what is not written shows
    replay()
    errors = []
    for each, output in zip(inputs, outputs, strict=True):
        pairs = zip(tensors([output]), tensors([exact(*each)]), strict=True)
        errors += [check(relative_error(*pair), bound) for pair in pairs]
    return replay, max(errors)


def sampler(timer: Timer, run: Run, parts: int = 1) -> Sample:
    """One sample: seconds of each of the `parts` of a run, over as many runs as take long
    enough.
    """
    run()
    once = timer.seconds(run, 1)
    calls = min(max(math.ceil(LEAST_SECONDS / max(once, 1e-9)), 1), MOST_CALLS)
    return lambda: timer.seconds(run, calls) / parts


def in_turn(
    samples: Mapping[str, Sample],
    rounds: int,
    deadline: float,
    clock: Callable[[], float] = time.time,
) -> dict[str, list[float]]:
    """A sample of each form in each round; after the deadline no more than five rounds.

    A GPU is not shared with others as a processor is, so no sentinel watches it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in samples}
    for number in range(rounds):
        if number >= LEAST_ROUNDS and clock() > deadline:
            break
        for name, sample in samples.items():
            seconds[name].append(sample())
    return seconds


def side_by_side(
    timer: Timer,
    forms: Mapping[str, Form],
    inputs: Sequence[Inputs],
    exact: Form,
    bound: float,
    rounds: int,
    deadline: float,
) -> dict:
    """Seconds of each form for one input, in each round, and how far it is from `exact`.

    The first form is ours: without it there is nothing to compare. Another that fails or
    is wrong is left out, and `errors` says why.

    Raises: what our form raises; ValueError when it is wrong.
    """
    found: dict[str, dict] = {"relative_error": {}, "errors": {}}
    samples: dict[str, Sample] = {}
    for name, form in forms.items():
        try:
            replay, error = checked(timer, form, inputs, exact, bound)
            samples[name] = sampler(timer, replay, len(inputs))
            found["relative_error"][name] = error
        except Exception as error:
            if not samples:
                raise
            found["errors"][name] = said(error)
    seconds = in_turn(samples, rounds, deadline)
    return {"seconds": seconds, "inputs": len(inputs), **found}


def random(timer: Timer, *sizes: int) -> Tensor:
    """Normal numbers in bfloat16."""
    return torch.randn(sizes, dtype=torch.bfloat16, device=timer.device)
