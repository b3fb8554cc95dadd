"""What `from companion import show` needs, and what it does not."""

import subprocess
import sys


def python(code, *missing):
    """Run `code` where these modules cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", block + code], capture_output=True, text=True
    )


def test_without_matplotlib_it_says_what_to_install():
    for code in (
        "from companion import show",
        "from companion.show.measurements.goals import GPU_GOALS",
    ):
        done = python(code, "matplotlib")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "ImportError: companion.show draws with matplotlib: pip install "
            '"shape-of-attention[show]"'
        )
        assert "During handling" not in done.stderr


def test_it_needs_neither_ipython_nor_what_reads_files():
    """A bare GPU machine has matplotlib, and no notebook."""
    bare = "IPython", "gguf", "tokenizers", "jinja2", "safetensors", "beartype"
    code = "from companion.show.measurements.goals import gpu_goals; print(gpu_goals())"
    done = python(code, *bare, "transformers")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("workload")


def test_it_does_not_load_dtensor_with_every_figure():
    code = "import companion.show; sys.exit('torch.distributed.tensor' in sys.modules)"
    assert python(code).returncode == 0
