"""Compiles one program in a process of its own: `worker.py EXPORTED PACKAGE`.

It begins at a byte of input, and has imported the compiler by then. It ends with its input,
in whatever way the process that asked has gone. It imports nothing of the companion, and
writes to no folder but that of the package.
"""

import os
import signal
import sys
import threading

STDIN = 0  # without Python's buffer, which no thread may hold when the process ends
# The compiler's options. Headers that are compiled in advance pay from the third program
# on; whether the C++ compiler knows the processor's instructions, it says itself.
OPTIONS = {
    "aot_inductor.precompile_headers": False,
    "cpp.vec_isa_ok": True,
    "cpp.enable_floating_point_contract_flag": "fast",
}


def main(exported: str, package: str) -> None:
    """Compile the graph in one file into the other."""
    import torch
    from torch._inductor import aoti_compile_and_package

    if not os.read(STDIN, 1):
        return
    threading.Thread(target=end_with_input, daemon=True).start()
    program = torch.export.load(exported)
    aoti_compile_and_package(program, package_path=package, inductor_configs=OPTIONS)


def end_with_input() -> None:
    """Wait until nobody waits for the package; then end, and the C++ compiler too."""
    while os.read(STDIN, 1):
        pass
    try:
        os.killpg(os.getpid(), signal.SIGKILL)
    finally:  # Windows has no groups of processes
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
