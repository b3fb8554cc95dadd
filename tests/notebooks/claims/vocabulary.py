"""Every name that there is: in the package, torch, einops, Python, transformers, and on disk."""

import ast
import builtins
import importlib
import importlib.util
import keyword
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import einops
import torch
import torch.distributed
from toc import ROOT

WORD = re.compile(r"[A-Za-z_]\w*")
ROOTS = {
    "companion": "companion",
    "torch": "torch",
    "einops": "einops",
    "fast": "companion.fast",
    "show": "companion.show",
    "parallel": "companion.parallel",
    "F": "torch.nn.functional",
    "nn": "torch.nn",
}
MODULES = (
    builtins, torch, torch.nn, torch.nn.functional, torch.Tensor, torch.nn.Module,
    torch.distributed, torch.compiler, einops, str, list, dict,
)  # fmt: skip
THEIRS = (
    "__init__.py models/llama/*.py models/bert/modeling_bert.py models/marian/modeling_marian.py "
    "cache_utils.py masking_utils.py modeling_utils.py modeling_rope_utils.py "
    "generation/utils.py tokenization_utils_base.py integrations/sdpa_attention.py "
    "monkey_patching.py configuration_utils.py"
)


def resolves(root: str, attributes: list[str]) -> bool:
    """Whether a chain of attributes leads from a module to something."""
    found, path = importlib.import_module(root), root
    for attribute in attributes:
        path += f".{attribute}"
        if not hasattr(found, attribute):
            try:
                importlib.import_module(path)
            except ImportError:
                return False
        found = getattr(found, attribute)
    return True


@cache
def names() -> frozenset[str]:
    known = {*keyword.kwlist, *ROOTS, *answers()}
    known |= {name for module in MODULES for name in dir(module)}
    for file in ours():
        known |= set(defined(ast.parse(file.read_text(encoding="utf-8"))))
    return frozenset(
        known | words(file.read_text(encoding="utf-8") for file in theirs())
    )


def answers() -> set[str]:
    """The functions that an exercise has its reader write."""
    chapters = [file.read_text(encoding="utf-8") for file in ROOT.glob("book/*.ipynb")]
    return {name for text in chapters for name in re.findall(r'"def (my_\w+)\(', text)}


def defined(tree: ast.AST) -> Iterator[str]:
    """The names in a program; strings and comments are none."""
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            if isinstance(name := getattr(node, field, None), str):
                yield from name.split(".")
        if isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
        if isinstance(node, ast.Constant) and WORD.fullmatch(str(node.value)):
            yield str(node.value)  # a key, as those of config.json


def ours() -> list[Path]:
    folders = ("companion", "benchmarks")
    return [file for folder in folders for file in (ROOT / folder).rglob("*.py")]


def theirs() -> list[Path]:
    folder = Path(importlib.util.find_spec("transformers").origin).parent
    return [file for pattern in THEIRS.split() for file in folder.glob(pattern)]


def words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in WORD.findall(text)}


@cache
def options() -> frozenset[str]:
    """What the package's commands and the benchmarks take."""
    texts = [file.read_text(encoding="utf-8") for file in ours()]
    return frozenset(x for text in texts for x in re.findall(r"--[a-z][\w-]+", text))


@cache
def targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][\w-]*)(?=[ :][^=]*)", makefile, re.MULTILINE))


@cache
def file_names() -> str:
    """The strings of the package, in which the files that it reads or writes are named."""
    return "\n".join(file.read_text(encoding="utf-8") for file in ours())


def is_file(path: str) -> bool:
    """A path of the repository, from its root or from a folder of it; or a file that we read."""
    for folder in ("", "book", "book/_static", "companion"):
        if any((ROOT / folder).glob(path.rstrip("/"))):
            return True
    return path in file_names()


@cache
def packages() -> frozenset[str]:
    """What pip is told to install."""
    files = ROOT.glob("requirements*.txt")
    texts = [file.read_text(encoding="utf-8") for file in files]
    return frozenset(
        x for text in texts for x in re.findall(r"^[\w.-]+(?===)", text, re.M)
    )
