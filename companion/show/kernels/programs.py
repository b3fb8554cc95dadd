"""One program of a Triton kernel, statement by statement, from Triton's interpreter."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from companion.show.kernels.watch import Place, ProgramStep, watched

ANSWER = """
import pickle, sys
from companion.show.kernels.watch import watched
call = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(watched(*call)))
"""


def program_steps(
    launch: Callable[..., Any],
    *arguments: Any,
    functions: Sequence[str],
    program: Place | None = (0,),
    **keywords: Any,
) -> list[ProgramStep]:
    """Run `launch(*arguments, **keywords)`, which launches kernels, in the interpreter on
    the CPU, and list what the statements of `functions` assigned in one program of the
    grid, or in all (None).

    Where kernels are compiled for a GPU, whose programs cannot be watched, another Python
    with the interpreter does it; `launch` must be a function that it can import.

    Raises: ValueError when no such function ran in that program.
    """
    wanted = None if program is None else (*program, 0, 0)[:3]
    call = launch, on_cpu(arguments), on_cpu(keywords), tuple(functions), wanted
    steps = watched(*call) if interpreting() else in_another_python(call)
    if not steps:
        raise ValueError(
            f"{', '.join(functions)} did not run in program {program}: a function of a "
            "kernel, and a place in its grid, are needed"
        )
    return steps


def interpreting() -> bool:
    """Whether kernels of this process are run by the interpreter."""
    import triton

    return bool(triton.knobs.runtime.interpret)


def on_cpu(nested: Any) -> Any:
    """The tensors of arguments, brought to the CPU."""
    if isinstance(nested, Tensor):
        return nested.cpu()
    if isinstance(nested, dict):
        return {name: on_cpu(each) for name, each in nested.items()}
    return tuple(map(on_cpu, nested)) if isinstance(nested, tuple) else nested


def in_another_python(call: tuple) -> list[ProgramStep]:
    """`watched(*call)` where the interpreter is on."""
    ran = subprocess.run(
        [sys.executable, "-c", ANSWER],
        input=pickle.dumps(call),
        capture_output=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr.decode())
    return pickle.loads(ran.stdout)
