"""What a benchmark prints: a line for each form, with ratios and their spread."""

import statistics

from harness import ratio

REFERENCES = ("hugging face sdpa", "llama.cpp")


def references(names: list[str]) -> list[str]:
    """Those that the others are compared with: Hugging Face's SDPA and llama.cpp."""
    return [name for name in names if name.startswith(REFERENCES)]


def table(title: str, case: dict) -> str:
    """Tokens per second, or milliseconds, and how many times faster than each reference."""
    seconds = case["seconds"]
    lines = [f"{title}, {len(next(iter(seconds.values())))} rounds"]
    for name, samples in seconds.items():
        median = statistics.median(samples)
        count = case.get("count")
        pace = f"{count / median:.1f} tok/s" if count else f"{1000 * median:.1f} ms"
        line = f"  {name:26} {pace:>14}"
        for reference in references(list(seconds)):
            times = ratio(seconds, name, reference)
            spread = f"{times['median']:.2f} ({times['min']:.2f}-{times['max']:.2f})"
            line += f"  {spread} x {reference}"
        lines.append(line)
    return "\n".join(lines)
