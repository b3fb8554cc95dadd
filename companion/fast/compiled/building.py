"""The processes that compile: a program each, side by side, none of which is left behind."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from tqdm import tqdm

from companion.fast.compiled.programs import Program
from companion.fast.refusals.compiled import check_built, needs_room

WORKER = Path(__file__).with_name("worker.py")
EXPORTED, PACKAGE, LOG = "exported.pt2", "program.pt2", "log"


def built(programs: Mapping[Hashable, Program], scratch: Path) -> dict[Hashable, Path]:
    """Compile programs side by side, each in a process of its own."""
    folders = {of: scratch / str(i) for i, of in enumerate(programs)}
    workers: dict[Hashable, subprocess.Popen[bytes]] = {}
    # disable=None: a bar on a terminal, silence in a file, a notebook or without a stderr
    hide = None if sys.stderr else True
    title = "Compiling for this processor, once"
    try:
        with tqdm(total=len(programs), desc=title, unit="program", disable=hide) as bar:
            for of, folder in folders.items():
                with needs_room():
                    workers[of] = worker(folder)
            for of, program in programs.items():  # meanwhile they import torch
                # first to memory: torch's own writer aborts the process when a disk is full
                torch.export.save(program.exported(), content := io.BytesIO())
                with needs_room():
                    (folders[of] / EXPORTED).write_bytes(content.getbuffer())
                begin(workers[of])
            for of, process in workers.items():
                while process.poll() is None:
                    time.sleep(0.1)
                    bar.refresh()  # of the seconds
                check_built(process.returncode, folders[of] / LOG)
                bar.update()
    finally:
        for process in workers.values():
            end(process)
    return {of: folder / PACKAGE for of, folder in folders.items()}


def worker(folder: Path) -> subprocess.Popen[bytes]:
    """A process that compiles a program, when it is told to: from a file in `folder` into
    another. Ctrl-C does not reach it.
    """
    folder.mkdir()
    files = [str(WORKER), str(folder / EXPORTED), str(folder / PACKAGE)]
    # -P: its own folder is not to be imported from
    command = [sys.executable, "-P", *files]
    environment = {
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "TMPDIR": str(folder),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
    }
    with (folder / LOG).open("w") as log:
        return subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            start_new_session=True,
        )


def begin(process: subprocess.Popen[bytes]) -> None:
    """Tell a worker that its file is there. Its input stays open while it is waited for."""
    if process.stdin:
        with suppress(OSError):  # it has ended, and its log says why
            process.stdin.write(b"\n")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker that still runs, and with it the C++ compiler that it has started."""
    if process.returncode is None and hasattr(os, "killpg"):  # not on Windows
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
