"""What the fast forms are meant to reach, against what was measured: the end of `make bench`.

Reads the newest raw figures of each benchmark in benchmarks/results/, prints a line for
each goal with its ratio and spread, and writes the table there too.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import ratio, spread
from machine import RESULTS, machine, write

from companion.fast.kernels.goals import GPU_GOALS, in_words
from companion.fast.kernels.goals import judged as judged_figure

SDPA = ("hugging face sdpa",)
HUGGING_FACE = ("hugging face",)
PLAIN = ("companion plain",)


@dataclass(frozen=True)
class Goal:
    """`ours` is to be `at_least` times as fast as `theirs` in a case of a raw file.

    Both are beginnings of names, and the fastest that has one is meant.
    """

    name: str
    file: str
    case: str
    at_least: float
    theirs: tuple[str, ...] = SDPA
    ours: tuple[str, ...] = ("companion",)


def generation(
    case: str, family: str, at_least: float, *names: tuple[str, ...]
) -> Goal:
    """A goal of benchmarks/generation.py."""
    return Goal(
        f"{case.replace('_', ' ')} {family}",
        f"generation-{family}",
        case,
        at_least,
        *names,
    )


GOALS = [
    generation("decode", "float32", 3.2),
    generation("decode", "float32", 1.0, ("llama.cpp F32",)),
    generation("decode", "bfloat16", 3.2),
    generation("decode", "bfloat16", 1.0, ("llama.cpp BF16",)),
    generation("decode", "quantized", 1.1, ("llama.cpp Q8_0",), ("companion int8",)),
    generation("decode", "quantized", 1.15, ("llama.cpp Q4_1",), ("companion int4",)),
    generation("prefill_512", "bfloat16", 1.6, HUGGING_FACE),
    generation("prefill_512", "float32", 2.5),
    generation("prefill_2048", "bfloat16", 2.2),
    Goal("layer 512 float32", "layer", "float32_512", 2.6),
    Goal("layer 512 bfloat16", "layer", "bfloat16_512", 1.45),
    *(
        generation(case, family, 1.0, SDPA, PLAIN)
        for case in ("prefill_512", "prefill_2048", "decode")
        for family in ("float32", "bfloat16")
    ),
]


def fastest(seconds: dict[str, list[float]], names: tuple[str, ...]) -> str | None:
    """The form whose name begins with one of these and whose median is least."""
    found = {k: statistics.median(v) for k, v in seconds.items() if k.startswith(names)}
    return min(found, key=found.__getitem__, default=None)


def judged(goal: Goal, raw: dict | None) -> dict:
    """A goal with its ratio, and whether its median reaches it; None if not measured."""
    line = {**asdict(goal), "ratio": None, "reached": None}
    seconds = raw[goal.case]["seconds"] if raw and goal.case in raw else {}
    ours, theirs = fastest(seconds, goal.ours), fastest(seconds, goal.theirs)
    if ours is None or theirs is None:
        return line
    times = ratio(seconds, ours, theirs)
    reached = times["median"] >= goal.at_least
    return {**line, "ours": ours, "theirs": theirs, "ratio": times, "reached": reached}


def judged_memory(dtype: str, raw: dict | None) -> dict:
    """The layer at 2048 tokens: the fastest form of ours holds no more than theirs."""
    line = {"name": f"layer 2048 {dtype}, memory", "at_least": 1.0, "file": "layer"}
    case = raw and raw.get(f"{dtype}_2048")
    if not case:
        return {**line, "ratio": None, "reached": None}
    ours = fastest(case["seconds"], ("companion",))
    peaks = case["peak_bytes"]
    times = spread([peaks[SDPA[0]] / peaks[ours]])
    names = {"ours": ours, "theirs": SDPA[0]}
    return {**line, **names, "ratio": times, "reached": times["median"] >= 1}


def judged_attention(length: int, at_least: float, raw: dict | None) -> list[dict]:
    """Causal attention of SmolLM2's heads in bfloat16 by blocks beside torch's SDPA: its
    speed, and its memory, of which at most twice theirs is wanted.
    """
    name = f"attention {length} bfloat16"
    names = {"file": "attention", "ours": "blocks", "theirs": "torch"}
    lines = [
        {"name": name, "at_least": at_least, **names},
        {"name": f"{name}, memory", "at_least": 0.5, **names},
    ]
    for case in raw["cases"] if raw else []:
        if (case["heads"], case["length"], case["dtype"]) == (9, length, "bfloat16"):
            peaks = case["peak_bytes"]
            memory = spread([peaks["torch"] / peaks["blocks"]])
            ratios = ratio(case["raw_seconds"], "blocks", "torch"), memory
            return [
                {**line, "ratio": x, "reached": x["median"] >= line["at_least"]}
                for line, x in zip(lines, ratios, strict=True)
            ]
    return [{**line, "ratio": None, "reached": None} for line in lines]


def judged_on_gpu(raw: dict | None) -> list[dict]:
    """The goals of `companion.fast.kernels.goals`, whose figures are in the raw file."""
    lines = []
    for goal in GPU_GOALS:
        found = judged_figure(goal, raw)
        shown = in_words(goal, raw)
        names = {"name": goal.name, "file": "gpu", "goal": str(goal), "shown": shown}
        limit = {"limit": goal.limit, "against": goal.against}
        lines.append({**names, **limit, "ratio": found.pop("figure"), **found})
    return lines


def judge(read: Callable[[str], dict | None]) -> list[dict]:
    """Every goal in turn; `read` gives the raw figures of a benchmark, or None."""
    return [
        *(judged(goal, read(goal.file)) for goal in GOALS),
        *(judged_memory(dtype, read("layer")) for dtype in ("float32", "bfloat16")),
        *judged_attention(2048, 3.0, read("attention")),
        *judged_attention(16384, 2.5, read("attention")),
        *judged_on_gpu(read("gpu")),
    ]


def newest(name: str, folder: Path = RESULTS) -> dict | None:
    """The raw figures of the last day on which a benchmark ran here, or None."""
    files = sorted(folder.glob(f"{name}-20??-??-??.json"))
    return json.loads(files[-1].read_text()) if files else None


def text(line: dict) -> str:
    """A goal in one line."""
    if line["file"] == "gpu":
        verdict = line["shown"].replace("missed", "MISSED")
        return f"{line['name']:40} {line['goal']:45} {verdict}"
    verdict = {True: "reached", False: "MISSED", None: "not measured"}[line["reached"]]
    shown = f"{line['name']:26} goal {line['at_least']:4.2f}x  {verdict}"
    if line["ratio"] is None:
        return shown
    times = "{median:.2f}x ({min:.2f}-{max:.2f})".format(**line["ratio"])
    return f"{shown:53} {times}, {line['ours']} over {line['theirs']}"


def main() -> None:
    files = {}

    def read(name: str) -> dict | None:
        if name not in files:
            files[name] = newest(name)
        return files[name]

    lines = judge(read)
    print("\n".join(text(line) for line in lines))
    commits = {name: raw and raw["commit"] for name, raw in files.items()}
    write("goals", {**machine(), "measured_at": commits, "goals": lines})


if __name__ == "__main__":
    main()
