"""Compiled programs on disk: what is kept, and what is not taken from there."""

import os
import shutil
import stat
import sys

import pytest
import tiny
import torch
from refusal import said

from companion import fast, generate
from companion.fast.compiled import ahead, building, store
from companion.fast.compiled.decode import OnCPU
from companion.fast.compiled.programs import LayerStep, layer_program

SIZES = {"hidden_size": 32, "intermediate_size": 64}
needs_compiler = pytest.mark.skipif(
    not shutil.which("g++") or " " in torch.__file__, reason="no usable C++ compiler"
)


def program(model, one=True):
    step = OnCPU(model, "aot_eager")
    return layer_program(step.model, step.layers[0], one)


def identity(one=True, **changes):
    return ahead.identity(program(tiny.model(**{**SIZES, **changes}), one))


# ---- the folder


def test_what_is_kept_is_found(folder, package):
    assert store.find("name") is None
    assert store.keep("name", package) is None
    assert store.find("name").read_bytes() == package.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["name.pt2"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_user_s_cache_folder_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.folder() == tmp_path / "shape-of-attention" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.folder() == tmp_path / ".cache" / "shape-of-attention" / "compiled"


@pytest.mark.parametrize("size", [0, 10, 200, -1])
def test_a_damaged_package_is_not_taken(folder, package, size):
    store.keep("name", package)
    path = folder / "name.pt2"
    content = bytearray(path.read_bytes())
    if size < 0:
        content[60] ^= 1  # a bit of what is stored
        path.write_bytes(content)
    else:
        path.write_bytes(content[:size])
    assert store.find("name") is None
    store.keep("name", package)
    assert store.find("name") is not None


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_nothing_is_taken_from_a_folder_that_others_may_write_to(folder, package, mode):
    store.keep("name", package)
    folder.chmod(mode)
    assert store.find("name") is None
    assert "alone" in store.keep("other", package)
    assert not (folder / "other.pt2").exists()


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_no_package_is_taken_that_others_may_write_to(folder, package, mode):
    store.keep("name", package)
    (folder / "name.pt2").chmod(mode)
    assert store.find("name") is None


def test_no_link_is_followed(folder, package):
    store.keep("name", package)
    (folder / "link.pt2").symlink_to(package)
    assert store.find("link") is None
    moved = folder.rename(folder.with_name("moved"))
    folder.symlink_to(moved)
    assert store.find("name") is None


def test_nothing_of_another_user_is_taken(folder, package, monkeypatch):
    store.keep("name", package)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert store.find("name") is None


def test_a_disk_that_takes_nothing(folder, package, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "No space left" in store.keep("name", package)
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("COMPANION_CACHE", "/proc/nowhere")
    assert "/proc/nowhere" in store.keep("name", package)


# ---- what a package depends on


def test_equal_layers_have_one_name():
    assert identity() == identity() == identity(num_hidden_layers=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"one": False},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"rms_norm_eps": 1e-3},
        {"attention_dropout": 0.5},
        {"intermediate_size": 96},
        {"num_key_value_heads": 1},
    ],
)
def test_another_layer_has_another_name(changes):
    assert identity(**changes) != identity()


def test_another_dtype_form_torch_or_number_of_threads_has_another_name(monkeypatch):
    model = tiny.model(**SIZES)
    others = [
        ahead.identity(program(tiny.model(torch.bfloat16, **SIZES))),
        ahead.identity(program(fast.int8(model))),
        ahead.identity(program(fast.int4(model))),
    ]
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    others.append(identity())
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "9.9")
    others.append(identity())
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    others.append(identity())
    monkeypatch.undo()
    assert len({identity(), *others}) == len(others) + 1


def test_what_is_not_ours_has_none():
    model = tiny.model(**SIZES)
    layers = OnCPU(model, "aot_eager").layers
    for change in (
        lambda layer: setattr(layer.self_attn, "attend", lambda *a, **k: a[0]),
        lambda layer: layer.mlp.register_forward_hook(lambda *a: None),
        lambda layer: layer.mlp.register_forward_pre_hook(lambda *a: None),
        lambda layer: setattr(layer.mlp, "forward", lambda x: x),
        lambda layer: setattr(layer, "mlp", Mine(layer.mlp)),
    ):
        step = OnCPU(model, "aot_eager")
        assert ahead.identity(layer_program(step.model, step.layers[0], True))
        change(step.layers[0].layer)
        assert ahead.identity(layer_program(step.model, step.layers[0], True)) is None
    assert all(isinstance(each, LayerStep) for each in layers)


class Mine(torch.nn.Module):
    def __init__(self, mlp):
        super().__init__()
        self.mlp = mlp

    def forward(self, x):
        return self.mlp(x)


# ---- compiled for real


BIASED = {**SIZES, "attention_bias": True}  # as one that test_compiled_decode compiles


@pytest.fixture
def kept(programs, monkeypatch, tmp_path):
    """A store in which the programs of the model below are, and nothing else."""
    written()
    found = OnCPU(tiny.model(**BIASED), "inductor").programs(one=True)
    packages = {name: store.find(name) for name in map(ahead.identity, found.values())}
    home = tmp_path / "kept"
    monkeypatch.setenv("COMPANION_CACHE", str(home))
    assert [store.keep(*each) for each in packages.items()] == [None, None]
    return home


def written():
    """Some tokens by a compiled step, and by the ordinary one."""
    torch.manual_seed(0)
    model, ids = tiny.model(std=0.2, **BIASED), tiny.ids(1, 4)
    found = generate(model, ids, 5, decode=fast.compile_decode(model))
    assert torch.equal(found, generate(model, ids, 5))


@needs_compiler
def test_a_second_start_compiles_nothing(kept, monkeypatch):
    assert len(list(kept.glob("compiled/*.pt2"))) == 2
    assert len(list(kept.glob("compiled/*"))) == 2
    monkeypatch.setattr(building, "worker", None)  # it would be called
    written()


@needs_compiler
def test_a_store_that_takes_nothing_is_said_and_does_not_matter(kept, monkeypatch):
    def copies(programs, scratch):
        """What would be compiled, from the store that there is."""
        found = {
            of: kept / "compiled" / f"{ahead.identity(x)}.pt2"
            for of, x in programs.items()
        }
        return {
            of: shutil.copy(path, scratch / path.name) for of, path in found.items()
        }

    monkeypatch.setattr(ahead, "built", copies)
    monkeypatch.setenv("COMPANION_CACHE", "/proc/nowhere")
    with pytest.warns(UserWarning, match=said("this process alone", "/proc/nowhere")):
        written()


def test_without_a_compiler(folder, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setenv("PATH", "/nowhere")
    model, ids = tiny.model(std=0.2, **SIZES), tiny.ids(1, 4)
    cache = fast.compile_decode(model)
    with pytest.raises(ValueError, match=said("C++ compiler", "CXX", "decode")):
        generate(model, ids, 3, decode=cache)
    assert not list(folder.glob("*")) if folder.exists() else True


def test_a_compiler_that_ends_badly(folder, monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.stdin.readline(); sys.exit('no such register')")
    monkeypatch.setattr(building, "WORKER", broken)
    model = tiny.model(**SIZES)
    with pytest.raises(ValueError, match=said("no such register")):
        generate(model, tiny.ids(1, 4), 3, decode=fast.compile_decode(model))
    assert sys.executable
