"""What the figures of a benchmark depend on, and where they go."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
import whole

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    """Date, processor, threads, versions and commit."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0].split(":")[1].strip() if names else cpu
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "commit": commit(),
    }


def commit() -> str:
    """The commit of the working tree: what COMMIT says, as a copy may lie in a repository
    that is at another one, or else the repository.
    """
    if said := os.environ.get("COMMIT"):
        return said
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def write(name: str, result: dict) -> None:
    """Keep the raw figures of a day in results/."""
    path = RESULTS / f"{name}-{result['date']}.json"
    whole.write(path, json.dumps(result, indent=1) + "\n")
    print(f"written to {path}")
