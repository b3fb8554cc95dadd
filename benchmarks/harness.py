"""Times several things side by side, and only while nothing else uses the machine.

`interleaved` takes one sample of each in turn, round after round, so that a slow minute
strikes all of them alike, and `ratio` compares them round by round. A `Sentinel` tells
whether the machine is free: one busy core more than doubles a small parallel product.
"""

import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping

import torch

SLACK = 1.3
RETRIES = 3

Sample = Callable[[], object]


def product() -> Callable[[], object]:
    """A matrix product on all cores, about a millisecond on two."""
    side = torch.full((512, 512), 0.5)
    return lambda: side @ side


class Sentinel:
    """A fixed operation whose best time is known: slower means that others compute.

    Its time is the median of five, and its best the least of all that were taken.
    `retried` counts for each name the samples put off or thrown away, `kept` those that
    count although the machine was busy, as the retries were used up.
    """

    def __init__(
        self,
        operation: Sample | None = None,
        clock: Callable[[], float] = time.perf_counter,
        pause: Callable[[], None] = lambda: time.sleep(0.2),
        looks: int = 30,
    ) -> None:
        self.operation = operation or product()
        self.clock, self.pause = clock, pause
        self.retried: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.best = min(self.seconds() for _ in range(looks))

    def seconds(self) -> float:
        """Median of five runs of the operation."""
        return statistics.median(timed(self.operation, self.clock) for _ in range(5))

    def idle(self) -> bool:
        """Whether the operation takes at most 1.3 times its best now."""
        now = self.seconds()
        self.best = min(self.best, now)
        return now <= SLACK * self.best

    def report(self) -> dict:
        """What to write beside the samples."""
        best = round(1000 * self.best, 3)
        return {"best_ms": best, "retried": self.retried, "kept_busy": self.kept}


def timed(run: Sample, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call; a call that returns a float has taken its own time."""
    start = clock()
    own = run()
    return own if isinstance(own, float) else clock() - start


def quiet(name: str, run: Sample, sentinel: Sentinel, retries: int) -> float:
    """Seconds of one call with an idle machine before and after, if one can be had."""
    for _ in range(retries):
        if sentinel.idle():
            sample = timed(run, sentinel.clock)
            if sentinel.idle():
                return sample
        sentinel.retried[name] = sentinel.retried.get(name, 0) + 1
        sentinel.pause()
    before, sample = sentinel.idle(), timed(run, sentinel.clock)
    if not (before and sentinel.idle()):
        sentinel.kept[name] = sentinel.kept.get(name, 0) + 1
    return sample


def interleaved(
    runs: Mapping[str, Sample],
    rounds: int,
    sentinel: Sentinel | None = None,
    retries: int = RETRIES,
    once: Collection[str] = (),
) -> dict[str, list[float]]:
    """Seconds of each run in each round, after one call of each that is not timed; those
    named in `once`, which are slow, run in the first round and not before it.
    """
    sentinel = sentinel or Sentinel()
    for name, run in runs.items():
        if name not in once:
            run()
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds):
        for name, run in runs.items():
            if round_ == 0 or name not in once:
                samples[name].append(quiet(name, run, sentinel, retries))
    return samples


def ratio(
    samples: Mapping[str, list[float]], name: str, reference: str
) -> dict[str, float]:
    """How many times faster `name` is than `reference`: median, least and most of the
    ratios `reference / name` of each round that both have.

    Raises:
        ValueError: the two have different numbers of rounds, neither of them one, or none.
    """
    ours, theirs = samples[name], samples[reference]
    rounds = {len(ours), len(theirs)}
    if 0 in rounds or (len(rounds) > 1 and 1 not in rounds):
        raise ValueError(
            f"{name!r} has {len(ours)} rounds and {reference!r} {len(theirs)}: take both "
            "from one call of interleaved, with rounds=1 or more."
        )
    return spread([b / a for a, b in zip(ours, theirs, strict=False)])


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most, to three digits behind the point."""
    values = list(values)
    numbers = {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }
    return {key: round(value, 3) for key, value in numbers.items()}
