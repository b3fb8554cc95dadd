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
    """A goal of benchmarks/generation.py, with the form in its name where it says one."""
    name = f"{case.replace('_', ' ')} {family}"
    if names[1:]:
        name += f", {names[1][0].removeprefix('companion ')}"
    return Goal(name, f"generation-{family}", case, at_least, *names)


TYPES = {"float32": "F32", "bfloat16": "BF16"}
OTHERS = ("hugging face", "llama.cpp")
GOALS = [
    *(generation("decode", x, 1.0, (f"llama.cpp {y}",)) for x, y in TYPES.items()),
    generation("decode", "quantized", 1.2, ("llama.cpp Q8_0",), ("companion int8",)),
    generation("decode", "quantized", 1.15, ("llama.cpp Q4_1",), ("companion int4",)),
    *(
        generation(case, family, 1.15, OTHERS)
        for case in ("prefill_512", "prefill_2048")
        for family in TYPES
    ),
    *(
        generation(case, family, 1.0, SDPA, PLAIN)
        for case in ("decode", "prefill_512")
        for family in TYPES
    ),
    *(
        # at most 1.3 times the time of floating point weights
        generation("prefill_512", "quantized", 1 / 1.3, ("companion float32",), (x,))
        for x in ("companion int8", "companion int4")
    ),
    *(Goal(f"layer 512 {family}", "layer", f"{family}_512", 1.2) for family in TYPES),
]
# the share of a limit: (phase, at least)
SHARES = (("decode", 0.85), ("prefill_512", 0.75), ("prefill_2048", 0.75))
# no more perplexity than theirs: (ours, theirs)
QUALITY = {
    "companion int8 compiled": "llama.cpp Q8_0",
    "companion int4 compiled": "llama.cpp Q4_1",
}
BATCH_OF_8 = "companion compiled"


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


def judged_share(case: str, family: str, at_least: float, raw: dict | None) -> dict:
    """The fastest form of ours in a phase: its share of what this machine reads in decode,
    or multiplies in prefill, as measured in the same process.
    """
    name = f"{case.replace('_', ' ')} {family}, share"
    line = {"name": name, "at_least": at_least, "file": f"generation-{family}"}
    found = (raw or {}).get(case, {})
    ours = fastest(found.get("seconds", {}), ("companion",))
    if ours is None or "limits" not in raw or not {"bytes", "flops"} & found.keys():
        return {**line, "ratio": None, "reached": None}
    if "bytes" in found:
        work, rate = found["steps"] * found["bytes"][ours], "bytes_per_second"
    else:
        work, rate = found["flops"], "flops_per_second"
    least = work / raw["limits"][rate]
    share = spread(least / seconds for seconds in found["seconds"][ours])
    names = {"ours": ours, "theirs": rate.replace("_", " "), "is": "of"}
    return {**line, **names, "ratio": share, "reached": share["median"] >= at_least}


def judged_quality(ours: str, theirs: str, raw: dict | None) -> dict:
    """Quantized weights: no more perplexity than llama.cpp's of about as many bits."""
    names = {"name": f"perplexity {ours.split()[1]}", "ours": ours, "theirs": theirs}
    line = {**names, "at_least": 1.0, "file": "generation-quantized"}
    found = (raw or {}).get("quality", {})
    if ours not in found or theirs not in found:
        return {**line, "ratio": None, "reached": None}
    a, b = found[ours]["perplexity"], found[theirs]["perplexity"]
    return {**line, "ratio": spread([b / a]), "reached": a <= b}


def judged_batch(at_least: float, raw: dict | None) -> dict:
    """Tokens per second of 8 sequences over those of one: each round beside the median."""
    line = {"name": "decode batch 8 bfloat16", "at_least": at_least}
    line |= {"file": "generation-bfloat16", "ours": BATCH_OF_8, "theirs": "batch 1"}
    cases = [(raw or {}).get(name, {}) for name in ("decode_batch_8", "decode")]
    if any(BATCH_OF_8 not in case.get("seconds", {}) for case in cases):
        return {**line, "ratio": None, "reached": None}
    eight, one = (
        [case["count"] / seconds for seconds in case["seconds"][BATCH_OF_8]]
        for case in cases
    )
    times = spread(pace / statistics.median(one) for pace in eight)
    return {**line, "ratio": times, "reached": times["median"] >= at_least}


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
    names = {"file": "attention-goals", "ours": "blocks", "theirs": "torch"}
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
        *(
            judged_share(case, family, at_least, read(f"generation-{family}"))
            for case, at_least in SHARES
            for family in TYPES
        ),
        *(
            judged_quality(*names, read("generation-quantized"))
            for names in QUALITY.items()
        ),
        judged_batch(4.0, read("generation-bfloat16")),
        *(judged_memory(dtype, read("layer")) for dtype in TYPES),
        *judged_attention(2048, 1.5, read("attention-goals")),
        *judged_attention(16384, 1.5, read("attention-goals")),
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
    link = line.get("is", "over")
    unit = " " if link == "of" else "x"
    shown = f"{line['name']:30} goal {line['at_least']:4.2f}{unit}  {verdict}"
    if line["ratio"] is None:
        return shown
    times = "{median:.2f}{unit} ({min:.2f}-{max:.2f})".format(
        unit=unit, **line["ratio"]
    )
    return f"{shown:57} {times}, {line['ours']} {link} {line['theirs']}"


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
