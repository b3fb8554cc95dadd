"""A layer under a machine's roofline, at any batch and any lengths."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

from companion.show.figures.legends import DASHES
from companion.show.figures.plane import Plane, Scale
from companion.show.figures.svg import Figure, Number
from companion.show.interactive.element import Interactive
from companion.show.ledgers.polynomials import Lengths, evaluated, phase, recorded
from companion.show.look.palette import EDGE
from companion.show.measurements.raw import measured
from companion.show.measurements.roofline import Roofline, machine_roofline
from companion.show.tables import PREFIXES, amount, table

# H100 SXM5, dense products. Source: NVIDIA 2022, "NVIDIA H100 Tensor Core GPU Architecture".
PUBLISHED = {"H100": Roofline(989.4e12, 3.35e12)}
MODEL, MACHINE = "Llama 3 8B", "cpu-bfloat16"  # what the figure starts with
WIDE = 7.2  # a letter of a name
STILL = {
    "one token after 511": (1, 1, 512),
    "a prompt of 512 tokens": (1, 512, 512),
}
EXAMPLES = {
    "a prompt of 512": {"batch": 1, "q": 512, "kv": 512},
    "one token after 511": {"batch": 1, "q": 1, "kv": 512},
    "64 texts, a token each": {"batch": 64, "q": 1, "kv": 512},
}


def roofline_explorer(caption: str) -> Interactive:
    """The steps of a layer as dots on the roof of a machine, each with the least time that
    it takes: batch, q_len and kv_len, the model and the machine can be changed.

    Source: Williams, Waterman and Patterson 2009.
    """
    known = machines()
    start = {**EXAMPLES["one token after 511"], "model": MODEL, "machine": MACHINE}
    trace = {
        "models": recorded(),
        "machines": known,
        "examples": EXAMPLES,
        "start": start,
    }
    chosen = known[MACHINE]
    ceilings = Roofline(chosen["flops"], chosen["bytes"])
    rows, panels, words = [], [], []
    for title, lengths in STILL.items():
        steps = costs(MODEL, chosen["dtype"], lengths)
        panels.append(roof(title, steps, ceilings))
        least = sum(ceilings.seconds(*cost) for cost in steps.values())
        words.append(f"{title}: at least {1e3 * least:.3g} ms")
        rows += [
            (title, name, *in_numbers(cost, ceilings)) for name, cost in steps.items()
        ]
    alt = f"A layer of {MODEL} on {chosen['label']}: {'; '.join(words)}"
    head = ("call", "step", "FLOPs", "bytes", "bound by", "least time, µs")
    figure = Figure(tuple(panels), alt, caption)
    return Interactive("roofline-explorer", trace, figure, table(head, rows))


def machines() -> dict[str, dict[str, Any]]:
    """What the figure knows of machines: those that were measured, from their raw files,
    and those whose figures are published.
    """
    cpu, gpu = measured("roofline"), measured("gpu")
    name = f"{cpu['cpu']}, {cpu['threads']} threads"
    found = {
        f"cpu-{dtype}": machine(f"{name}, {dtype}", dtype, machine_roofline(cpu, dtype))
        for dtype in ("float32", "bfloat16")
    }
    label = gpu["gpu"].removeprefix("NVIDIA ")
    found[label] = machine(f"{label}, bfloat16", "bfloat16", gpu_roofline(gpu))
    for published, roofline in PUBLISHED.items():
        words = f"{published} SXM, bfloat16"
        found[published] = machine(words, "bfloat16", roofline, "published")
    return found


def machine(
    words: str, dtype: str, roofline: Roofline, kind: str = "measured"
) -> dict[str, Any]:
    """A machine as the figure needs it, its ceilings in four digits."""
    flops, moved = roofline.flops_per_second, roofline.bytes_per_second
    ceilings = {"flops": float(f"{flops:.4g}"), "bytes": float(f"{moved:.4g}")}
    return {"label": f"{words} ({kind})", "dtype": dtype, **ceilings}


def gpu_roofline(raw: Mapping[str, Any]) -> Roofline:
    """What a GPU reaches in a large product in bfloat16 and in a copy, each by the median
    of whichever form is faster.
    """

    def rate(name: str, what: str) -> Number:
        case = raw["cases"][name]
        return case[what] / min(map(statistics.median, case["seconds"].values()))

    return Roofline(rate("matmul ceiling", "flops"), rate("copy bandwidth", "bytes"))


def costs(model: str, dtype: str, lengths: Lengths) -> dict[str, tuple[int, int]]:
    """(FLOPs, bytes) of the steps that move something."""
    steps = recorded()[model][dtype][phase(*lengths)]
    found = {
        name: (evaluated(flops, lengths), evaluated(moved, lengths))
        for name, (flops, moved) in steps.items()
    }
    return {name: cost for name, cost in found.items() if cost[1]}


def in_numbers(cost: tuple[int, int], ceilings: Roofline) -> tuple[str, ...]:
    """A step's cost, its bound and its least time."""
    flops, moved = cost
    bound = "FLOPs" if flops > ceilings.ridge * moved else "bytes"
    least = f"{1e6 * ceilings.seconds(flops, moved):,.1f}"
    return amount(flops) if flops else "", amount(moved, "B"), bound, least


def roof(title: str, steps: Mapping[str, tuple[int, int]], ceilings: Roofline) -> str:
    """The roof, and on it a named dot for each step that multiplies matrices."""
    dots = sorted(
        (flops / moved, name) for name, (flops, moved) in steps.items() if flops
    )
    low = min(0.1, dots[0][0] / 2)
    high = max(*(room(at, low, name) for at, name in dots), 10 * ceilings.ridge)
    floor = ceilings.attainable(low) / 30
    plane = Plane(
        Scale(low, high, "FLOPs per byte", log=True, write=rate),
        Scale(floor, 3 * ceilings.flops_per_second, "FLOP/s", log=True, write=rate),
        height=330,
    )
    top = ceilings.flops_per_second
    corners = [low, ceilings.ridge, high]
    plane.line([(at, ceilings.attainable(at)) for at in corners])
    down = [(ceilings.ridge, top), (ceilings.ridge, floor)]
    plane.line(down, ink=EDGE, weight=1, dash=DASHES[2])
    placed: list[tuple[float, int]] = []  # where a name ends, and in which line
    for at, name in dots:
        x, y = plane.place(at, ceilings.attainable(at))
        row = 1 + max((line for end, line in placed if end > x - 6), default=-1)
        placed.append((x + WIDE * len(name), row))
        below = plane.height - 50 - 16 * row
        plane.parts.append(f'<path d="M{x:g} {y:g}V{below - 7:g}" stroke="{EDGE}"/>')
        plane.dot(at, ceilings.attainable(at))
        plane.words(x, below, name, "start")
    plane.words(plane.width - 10, 6, title, "end")
    places = ", ".join(f"{name} {at:.3g}" for at, name in dots)
    return plane.svg(f"{title}: FLOPs per byte of {places}; ridge {ceilings.ridge:.3g}")


def room(at: Number, low: Number, name: str) -> float:
    """Where the scale has to end for a dot's name to fit behind it."""
    share = WIDE * len(name) / 298
    return at * (at / low) ** (share / (1 - share))


def rate(value: Number) -> str:
    """A power of ten with its prefix: 0.1, 10, 100G."""
    power = round(math.log10(value))
    if power < 0:
        return f"{value:g}"
    return f"{10 ** (power % 3)}{PREFIXES[power // 3]}"
