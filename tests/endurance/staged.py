"""Real processes that are held where they are to be interrupted, and what they left.

They come from a server that has imported everything already, which saves seconds each.
"""

import builtins
import contextlib
import importlib
import os
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path

PATIENCE = 120  # seconds, on a machine with much else to do
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["companion.__main__", "companion.parallel"])


def until(condition, process=None):
    """Wait for what is to come; a process that ends before it is an error."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        assert process is None or process.is_alive(), "its process ended"
        time.sleep(0.01)
    return found


def hold(reached, owner, name, before=lambda *_: None):
    """Have a function that a module or class uses wait, once, to be interrupted."""
    whole = getattr(owner, name, None) or getattr(builtins, name)

    def held(*arguments, **options):
        if reached.exists():
            return whole(*arguments, **options)
        before(*arguments)
        reached.touch()
        while True:
            time.sleep(0.01)

    setattr(owner, name, held)


def process(folder, function, *arguments, stdin=os.devnull, stdout=None):
    """A process that calls a function of this folder; its output goes into files there."""
    wanted = folder, stdin, stdout, dict(os.environ), function, arguments
    started = CONTEXT.Process(target=work, args=wanted, daemon=True)  # ends with this
    started.start()
    return started


def work(folder, stdin, stdout, environment, function, arguments):
    """Call a function with streams of its own, and end with what it returns."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in the background
    places = [stdin, stdout or folder / "out", folder / "err"]
    for number, place in enumerate(places):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(place, flags), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, "r" if number == 0 else "w", closefd=False)
        for number in range(3)
    )
    os.environ.update(environment)  # the server's is that of the first test
    ended = function(*arguments)
    sys.stdout.flush()
    sys.exit(ended)


def interrupted(started, reached):
    """The exit code of a process that gets a Ctrl-C where it is held."""
    until(reached.exists, started)
    os.kill(started.pid, signal.SIGINT)
    started.join(PATIENCE)
    assert started.exitcode is not None
    return started.exitcode


def command(arguments, module=None, name=None, reached=None):
    """`python -m companion`, perhaps held in a function that a module uses."""
    main = importlib.import_module("companion.__main__").main
    if module:
        hold(reached, importlib.import_module(module), name)
    return main([*arguments, "--device", "cpu"])


def read(folder, name):
    return Path(folder, name).read_text()


@contextlib.contextmanager
def small_files(size):
    """No file of this process may grow beyond so many bytes: a disk that is full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
