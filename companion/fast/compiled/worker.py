"""Compiles one program in a process of its own: `worker.py EXPORTED PACKAGE`.

It begins when its input ends, and has imported the compiler by then. It imports nothing of
the companion, and writes to no folder but that of the package.
"""

import sys

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

    sys.stdin.read()
    program = torch.export.load(exported)
    aoti_compile_and_package(program, package_path=package, inductor_configs=OPTIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
