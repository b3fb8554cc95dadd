"""What a benchmark prints: a line for each form, with ratios and their spread."""

import statistics

from harness import ratio

REFERENCES = ("hugging face sdpa", "llama.cpp")


def references(names: list[str]) -> list[str]:
    """Those that the others are compared with: Hugging Face's SDPA and llama.cpp."""
    return [name for name in names if name.startswith(REFERENCES)]


def table(title: str, case: dict) -> str:
    """Tokens per second and what a user waits for, or milliseconds alone, and how many
    times faster than each reference.
    """
    seconds = case["seconds"]
    wait = f"; tok/s, {case['wait']}, ms" if "wait" in case else ""
    lines = [f"{title}, {max(map(len, seconds.values()))} rounds{wait}"]
    for name, samples in seconds.items():
        line = f"  {name:26} {pace(case, statistics.median(samples)):>20}"
        for reference in references(list(seconds)):
            times = ratio(seconds, name, reference)
            spread = f"{times['median']:.2f} ({times['min']:.2f}-{times['max']:.2f})"
            line += f"  {spread} x {reference}"
        lines.append(line)
    return "\n".join(lines)


def pace(case: dict, median: float) -> str:
    """Tokens per second where they are counted, and milliseconds of each wait."""
    shown = f"{1000 * median / case.get('steps', 1):.1f} ms"
    return f"{case['count'] / median:.1f} tok/s {shown}" if "count" in case else shown
