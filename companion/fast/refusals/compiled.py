"""What a compiled step refuses."""

from pathlib import Path

import torch


def check_built(code: int, log: Path) -> None:
    """Refuse to go on without the package that a compiler was to write.

    Raises: ValueError with the compiler's last words, and with what needs none.
    """
    if code == 0:
        return
    said = [
        line for line in log.read_text(errors="replace").splitlines() if line.strip()
    ]
    reason = said[-1].strip() if said else f"its process ended with code {code}"
    raise ValueError(
        f"the step could not be compiled: {reason[:300]}. It takes a C++ compiler (g++ or "
        "clang++, or the one that CXX names) and room for its files; the ordinary decode, "
        "which generate takes by default, needs neither"
    )


def check_same_dtype(compiled: torch.dtype, now: torch.dtype) -> None:
    """Refuse weights of another dtype than the programs were compiled for.

    Raises: ValueError that says both.
    """
    if compiled != now:
        raise ValueError(
            f"this step was compiled for weights in {compiled} and the model's are {now} now: "
            "make another with compile_decode(model)"
        )
