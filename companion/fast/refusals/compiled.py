"""What a compiled step refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

NEEDED = (
    "It takes a C++ compiler (g++ or clang++, or the one that CXX names) and room for its "
    "files (in /tmp, or the folder that TMPDIR names); the model as it is, and the ordinary "
    "decode, which generate takes by default, need neither"
)
# In what a compiler says, the line that says why; what follows it quotes and counts.
WHY = ("No space left", " error: ")


def check_built(code: int, log: Path) -> None:
    """Refuse to go on without the package that a compiler was to write.

    Raises: ValueError with the compiler's last words, and with what needs none.
    """
    if code == 0:
        return
    lines = map(str.strip, log.read_text(errors="replace").splitlines())
    said = [line for line in lines if line] or [f"its process ended with code {code}"]
    why = [line for words in WHY for line in said[::-1] if words in line]
    reason = (why or said[::-1])[0]
    raise ValueError(f"the model could not be compiled: {reason[:300]}. {NEEDED}")


@contextmanager
def needs_room() -> Iterator[None]:
    """Refuse to go on where a file of what is compiled cannot be written, or unpacked.

    Raises: ValueError with the reason, and with what needs no file.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # the latter from torch's own writer
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the model could not be compiled: {reason[:300]}. {NEEDED}"
        ) from error


def untraceable(error: Exception) -> ValueError:
    """What refuses to go on without a graph: the tracer's first words, and what needs none."""
    said = str(error).strip().split("\n\n")[0].replace("\n", " ")
    return ValueError(
        f"the model could not be traced, {type(error).__name__}: {said[:300]}. Something in "
        "it, such as a layer or an attend that is not the package's, does what torch.export "
        "does not follow; the ordinary decode, which generate takes by default, and the model "
        "as it is need no graph"
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
