"""Programs compiled ahead of time: traced once, compiled by AOTInductor into a package that
is kept, and called without Python between one program and the next.
"""

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from companion.attention import scaled_dot_product_attention
from companion.fast.compiled import store
from companion.fast.compiled.building import built
from companion.fast.compiled.programs import Program, is_known, traits
from companion.fast.refusals.compiled import needs_room

# Runs a program: its weights and its arguments in one list.
Run = Callable[[list[Tensor]], Sequence[Tensor]]


@torch.inference_mode(mode=False)
@torch.no_grad()
def ready(programs: Mapping[Hashable, Program], backend: str) -> dict[Hashable, Run]:
    """Each program, compiled by `"inductor"` or run operator by operator by `"aot_eager"`.

    Raises: ValueError when there is no C++ compiler, or it fails.
    """
    if backend == "inductor":
        return compiled(programs)
    return {of: eager(each.exported()) for of, each in programs.items()}


def eager(exported: ExportedProgram) -> Run:
    """The graph run as it is, operator by operator: as right as compiled, and slow.

    Without its guards, as compiled code has none. They say in which case it was traced: a
    cache that is not full, a batch that is no multiple of four. Its operators, given
    symbols, are right in the other too, and tests go through both.
    """
    module = exported.module(check_guards=False)
    weights, *_ = exported.example_inputs[0]

    def run(arguments: list[Tensor]) -> Sequence[Tensor]:
        out = module(arguments[: len(weights)], *arguments[len(weights) :])
        return out if isinstance(out, tuple) else (out,)

    return run


def compiled(programs: Mapping[Hashable, Program]) -> dict[Hashable, Run]:
    """Each program's package, from the store or compiled now, ready to be called.

    Raises: ValueError when there is no C++ compiler, or it fails, or no room for files.
    """
    names = {of: identity(program) for of, program in programs.items()}
    runs = {of: run for of, name in names.items() if name and (run := kept(name))}
    missing = {of: program for of, program in programs.items() if of not in runs}
    if not missing:
        return runs
    with scratch_folder() as scratch:
        for of, package in built(missing, scratch).items():
            with needs_room():
                runs[of] = loaded(package)
            name = names[of]
            if name and (problem := store.keep(name, package)):
                warnings.warn(
                    f"compiled for this process alone: {problem}; {store.VARIABLE} names "
                    "another folder",
                    stacklevel=2,
                )
    return runs


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder to compile in: in $TMPDIR, where torch will unpack what it loads, if set."""
    with needs_room():
        folder = tempfile.TemporaryDirectory(
            dir=os.environ.get("TMPDIR") or None,
            ignore_cleanup_errors=True,  # a compiler that is killed may take a moment
        )
    with folder as name:
        yield Path(name)


def kept(name: str) -> Run | None:
    """A package of the store, ready to be called; None where there is none, or none that
    this machine can load.
    """
    package = store.find(name)
    with suppress(RuntimeError):
        return loaded(package) if package else None
    return None


def is_kept(program: Program) -> bool:
    """Whether the store has a program's package."""
    name = identity(program)
    return name is not None and store.find(name) is not None


def loaded(package: Path) -> Run:
    """A package, ready to be called: `torch._inductor.aoti_load_package` without what it
    imports, and without a call that flattens the arguments each time.
    """
    name, one_thread, runners, device = "model", False, 1, -1
    loader = torch._C._aoti.AOTIModelPackageLoader(
        str(package), name, one_thread, runners, device
    )
    return loader.run


def identity(program: Program) -> str | None:
    """The name of what a program's package depends on; None where that is not known, as
    with a function or a layer of someone else's.
    """
    if not all(is_ours(module) for module in program.module.modules()):
        return None
    # what attends is the plain form, and its address is another in each process
    parts = [x for x in traits(program.module) if not callable(x)]
    return store.key(
        sources(),
        torch.__version__,
        sys.version,
        torch.cpu.get_capabilities(),
        torch.get_num_threads(),
        parts,
        [(tuple(x.shape), x.dtype) for x in program.arguments],
        program.symbols,
    )


def is_ours(module: nn.Module) -> bool:
    """Whether a module is known, and attends in the plain form."""
    attend = vars(module).get("attend", scaled_dot_product_attention)
    return is_known(module) and attend is scaled_dot_product_attention


@cache
def sources() -> str:
    """A digest of the code that programs are traced from."""
    here = Path(__file__).parent
    files = sorted(
        path for room in (*here.parents[:2], here) for path in room.glob("*.py")
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
