"""Programs compiled ahead of time: traced once, compiled by AOTInductor into a package that
is kept, and called without Python between one program and the next.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from tqdm import tqdm

from companion.attention import scaled_dot_product_attention
from companion.fast.compiled import store
from companion.fast.compiled.programs import Program, traits
from companion.fast.refusals.compiled import check_built

# Runs a program: its weights and its arguments in one list.
Run = Callable[[list[Tensor]], Sequence[Tensor]]
WORKER = Path(__file__).with_name("worker.py")
EXPORTED, PACKAGE, LOG = "exported.pt2", "program.pt2", "log"


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

    Raises: ValueError when there is no C++ compiler, or it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        names = {of: identity(program) for of, program in programs.items()}
        found = {of: store.find(name) for of, name in names.items() if name}
        packages = {of: package for of, package in found.items() if package}
        missing = {of: x for of, x in programs.items() if of not in packages}
        for of, package in built(missing, Path(scratch)).items():
            packages[of] = package
            name = names[of]
            if name and (problem := store.keep(name, package)):
                warnings.warn(
                    f"compiled for this process alone: {problem}", stacklevel=2
                )
        return {of: loaded(package) for of, package in packages.items()}


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


def built(programs: Mapping[Hashable, Program], scratch: Path) -> dict[Hashable, Path]:
    """Compile programs side by side, each in a process of its own."""
    folders = {of: scratch / str(i) for i, of in enumerate(programs)}
    workers: dict[Hashable, subprocess.Popen[bytes]] = {}
    # disable=None: a bar on a terminal, silence in a file or a notebook
    hide = None if programs else True
    title = "Compiling for this processor, once"
    try:
        with tqdm(total=len(programs), desc=title, unit="program", disable=hide) as bar:
            for of, folder in folders.items():
                workers[of] = worker(folder)
            for of, program in programs.items():  # meanwhile they import torch
                torch.export.save(program.exported(), folders[of] / EXPORTED)
                if begin := workers[of].stdin:
                    begin.close()
            for of, process in workers.items():
                while process.poll() is None:
                    time.sleep(0.1)
                    bar.refresh()  # of the seconds
                check_built(process.returncode, folders[of] / LOG)
                bar.update()
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    return {of: folder / PACKAGE for of, folder in folders.items()}


def worker(folder: Path) -> subprocess.Popen[bytes]:
    """A process that compiles a program, when its input is closed: from a file in `folder`
    into another.
    """
    folder.mkdir()
    files = [str(WORKER), str(folder / EXPORTED), str(folder / PACKAGE)]
    command = [
        sys.executable,
        "-P",
        *files,
    ]  # its own folder is not to be imported from
    environment = {
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
    }
    with (folder / LOG).open("w") as log:
        return subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


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
    """Whether a module is all that its class says, and the class torch's or the package's."""
    hooks = module._forward_hooks, module._forward_pre_hooks
    ours = type(module).__module__.startswith(("companion.", "torch.nn."))
    attend = vars(module).get("attend", scaled_dot_product_attention)
    own = attend is scaled_dot_product_attention and "forward" not in vars(module)
    return ours and own and not any(hooks)


@cache
def sources() -> str:
    """A digest of the code that programs are traced from."""
    here = Path(__file__).parent
    files = sorted(
        path for room in (*here.parents[:2], here) for path in room.glob("*.py")
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
