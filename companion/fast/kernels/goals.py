"""What the kernels are meant to reach on a GPU, and whether a raw file of `make bench-gpu`
says that they do.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_YET = "not measured yet"
LONGEST = 60  # characters of an error
COPY, PRODUCT, LAUNCHES = "copy bandwidth", "matmul ceiling", "launches"
FLASH, CUDNN = "torch flash", "torch cudnn"
SDPA, STATIC = "hugging face sdpa", "hugging face static cache, compiled"
# A share is of what the machine was measured to reach at most; a figure against any other
# name is how many times faster ours is.
SHARES = (COPY, PRODUCT)
WORDS = {
    COPY: "of the copy's bandwidth",
    PRODUCT: "of the matrix product's rate",
    FLASH: "torch's flash attention",
    CUDNN: "torch's cuDNN attention",
    SDPA: "Hugging Face with sdpa",
    STATIC: "Hugging Face, static cache, compiled",
}


@dataclass(frozen=True)
class GpuGoal:
    """`limit` is the least figure of a case against this, and of launches the most."""

    workload: str
    case: str
    against: str
    limit: float | int
    words: str = ""  # in place of `WORDS`

    @property
    def name(self) -> str:
        """The workload and its case."""
        return f"{self.workload}, {self.case}"

    def amount(self, number: float | int) -> str:
        """A figure in this goal's unit."""
        if self.against in SHARES:
            return f"{number:.0%}"
        return f"{number:.0f}" if self.against == LAUNCHES else f"{number:.2f}×"

    def __str__(self) -> str:
        if self.against == LAUNCHES:
            return f"{self.limit:.0f} launch"
        limit = f"{self.limit:.0%}" if self.against in SHARES else f"{self.limit:g}×"
        return f"at least {limit} {self.words or WORDS[self.against]}"

    def reached(self, figure: float | int) -> bool:
        """Whether a figure is good enough."""
        most = self.against == LAUNCHES
        return figure <= self.limit if most else figure >= self.limit


ATTENTION, DECODE = "causal attention", "attention in decode, 32k cache"
AROUND, LARGE = "16k tokens", "Llama-3-8B's sizes"
SMALL = "SmolLM2-135M's sizes"
GPU_GOALS = [
    *(
        GpuGoal(ATTENTION, case, against, limit)
        for case in ("4k", "16k")
        for against, limit in (
            (FLASH, 1.3),
            (CUDNN, 0.9),
            (PRODUCT, 0.65),
        )
    ),
    *(GpuGoal(DECODE, case, COPY, 0.85) for case in ("batch 1", "batch 8", "batch 64")),
    GpuGoal(LARGE, "decode step", SDPA, 3.0),
    GpuGoal(LARGE, "decode step", COPY, 0.8, "of the weight-reading limit"),
    GpuGoal(LARGE, "layer, prefill", SDPA, 1.2),
    *(
        GpuGoal(AROUND, case, against, limit)
        for case in ("RMSNorm", "addition and RMSNorm", "RoPE", "SwiGLU")
        for against, limit in ((LAUNCHES, 1.0), (COPY, 0.85))
    ),
    GpuGoal(SMALL, "decode", STATIC, 1.5),
]


def judged(goal: GpuGoal, raw: Mapping[str, Any] | None) -> dict[str, Any]:
    """A goal's figure, its median with the least and the most, and whether the median
    reaches it; both None where it was not measured, with the reason if one is known.
    """
    case = (raw or {}).get("cases", {}).get(f"{goal.workload}, {goal.case}", {})
    figure = case.get("figures", {}).get(goal.against)
    problem = case.get("error") or case.get("errors", {}).get(goal.against)
    reached = None if figure is None else goal.reached(figure["median"])
    return {"figure": figure, "reached": reached, "problem": problem}


def in_words(goal: GpuGoal, raw: Mapping[str, Any] | None) -> str:
    """What was measured, as the table says it."""
    found = judged(goal, raw)
    if found["figure"] is None:
        problem = textwrap.shorten(found["problem"] or "", LONGEST, placeholder=" …")
        return f"not measured: {problem}" if problem else NOT_YET
    median, *ends = (goal.amount(found["figure"][x]) for x in ("median", "min", "max"))
    spread = "–".join(end.rstrip("×%") for end in ends)
    shown = f" ({spread})" if goal.against != LAUNCHES else ""
    return f"{median}{shown}, {'reached' if found['reached'] else 'missed'}"
