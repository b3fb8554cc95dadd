"""The raw figures of the benchmarks, as the repository keeps them."""

import json
from typing import Any

from companion.show.source import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def measured(name: str) -> dict[str, Any]:
    """The newest raw file of a benchmark: the machine and the date, and its figures.

    Raises: ValueError when there is none, as where the package was installed without
    its repository.
    """
    files = sorted(RESULTS.glob(f"{name}-????-??-??.json"))
    if not files:
        raise ValueError(
            f"no {name}-DATE.json in {RESULTS}: clone the repository, which holds the raw "
            "figures, and install the package from there (pip install -e .)"
        )
    return json.loads(files[-1].read_text())
