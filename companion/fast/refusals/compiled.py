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
        f"the model could not be compiled: {reason[:300]}. It takes a C++ compiler (g++ or "
        "clang++, or the one that CXX names) and room for its files; the model as it is, and "
        "the ordinary decode, which generate takes by default, need neither"
    )


def check_same_dtype(
    what: str, maker: str, compiled: torch.dtype, now: torch.dtype
) -> None:
    """Refuse weights of another dtype than the programs were compiled for.

    Raises: ValueError that says both.
    """
    if compiled != now:
        raise ValueError(
            f"this {what} was compiled for weights in {compiled} and they are {now} now: "
            f"make another with {maker}(model)"
        )
