"""Folders that take nothing, disks that are full, users without a home, closed streams."""

import os
import pwd
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tiny
import torch
from staged import PATIENCE, process, read, small_files

from companion import fast, generate, load
from companion.__main__ import main
from companion.fast.compiled import ahead, building, is_compiled, store
from companion.fast.compiled.decode import OnCPU
from companion.fast.compiled.programs import Program
from companion.parallel import export

NOBODY = 65534


@pytest.fixture
def homeless(monkeypatch):
    """A user that the system does not know, as in a container."""

    def unknown(_):
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", "COMPANION_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


# ---- the store


def test_a_user_without_a_home_has_no_store(homeless, package):
    assert store.find("name") is None
    assert store.keep("name", package) == "this user has no home folder"
    assert not is_compiled(tiny.model())


def test_a_user_without_a_home_gets_a_text(homeless, checkpoint, capsys):
    arguments = ["the cat", "--max-new-tokens", "2", "--model", str(checkpoint)]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("the cat")


def test_a_file_in_the_folder_s_place(folder, package):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("mine")
    assert store.find("name") is None
    assert store.keep("name", package) == f"{folder}: Not a directory"
    assert folder.parent.read_text() == "mine"


def test_a_folder_that_is_for_reading_alone(tmp_path, package, monkeypatch):
    with TemporaryDirectory() as home:  # tmp_path is in one that is root's alone
        Path(home).chmod(0o755)
        monkeypatch.setenv("COMPANION_CACHE", home)
        assert store.keep("name", package) is None
        started = process(tmp_path, keep_for_readers, package)
        started.join(PATIENCE)
        assert started.exitcode == 0, read(tmp_path, "err")
        assert [path.name for path in store.folder().iterdir()] == ["name.pt2"]


def keep_for_readers(package):
    """No user may write there; root, who always may, is nobody from here on."""
    folder, content = store.folder(), package.read_bytes()
    assert store.find("name")
    (folder / "name.pt2").chmod(0o644)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    assert store.find("name").read_bytes() == content
    assert store.keep("other", package) == f"{folder}: Permission denied"


@pytest.mark.parametrize("size", [0, 100])
def test_a_full_disk(tmp_path, folder, package, size):
    started = process(tmp_path, keep_on_a_full_disk, package, folder.parent, size)
    started.join(PATIENCE)
    assert started.exitcode == 0, read(tmp_path, "err")
    assert list(folder.iterdir()) == []


def keep_on_a_full_disk(package, home, size):
    os.environ["COMPANION_CACHE"] = str(home)
    with small_files(size):
        said = store.keep("name", package)
    return 0 if said == f"{home / store.KEPT}: File too large" else said


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_whichever_bit_is_damaged_it_is_no_error(tmp_path, compression):
    path = tmp_path / "package.pt2"
    with zipfile.ZipFile(path, "w", compression) as written:
        written.writestr("code", "a program " * 3)
    whole, taken = path.read_bytes(), []
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        if store.is_whole(path):
            taken.append(place // 8)
    # some of what is beside the content, such as times and rights, has no checksum
    begin = whole.find(b"a program")
    assert begin < 0 or not set(taken) & {*range(begin, begin + 30)}


def test_a_package_that_cannot_be_loaded_is_compiled_again(
    folder, package, monkeypatch
):
    model = tiny.model()
    programs = OnCPU(model, "inductor").programs(one=True)
    for name in map(ahead.identity, programs.values()):
        assert store.keep(name, package) is None
    assert is_compiled(model)
    asked = []

    def built(missing, scratch):
        asked.extend(missing)
        raise ValueError("asked for")

    monkeypatch.setattr(ahead, "built", built)
    with pytest.raises(ValueError, match="asked for"):
        generate(model, tiny.ids(1, 3), 2, decode=fast.compile_decode(model))
    assert asked == list(programs)


# ---- room to compile in

REMEDY = "the model could not be compiled: .*{}.*TMPDIR"


def compile_something():
    model = tiny.model()
    generate(model, tiny.ids(1, 3), 2, decode=fast.compile_decode(model))


@pytest.mark.parametrize("name", ["/proc/none", "file"])
def test_no_folder_to_compile_in(folder, tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    monkeypatch.setattr(building, "worker", None)  # it is not come to
    with pytest.raises(ValueError, match=REMEDY.format(name)):
        compile_something()


def test_no_room_to_compile_in(tmp_path, folder, scratch):
    started = process(tmp_path, compile_on_a_full_disk)
    started.join(PATIENCE)
    assert started.exitcode == 1
    words = read(tmp_path, "err").splitlines()[-1]
    assert words.startswith("ValueError: the model could not be compiled: ")
    assert "room for its files (in /tmp, or the folder that TMPDIR names)" in words
    assert [x.name for x in scratch.iterdir() if "inductor" not in x.name] == []
    assert not folder.exists()


def compile_on_a_full_disk():
    with small_files(1000):
        compile_something()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("a.cpp:1: fatal error: no header\ncompilation terminated.\n", "no header"),
        ("a.cpp:1: error: no such register\n   1 | x\n     | ^\n", "no such register"),
        ("ld: No space left on device\ncollect2: error: ld returned 1\n", "No space"),
        ("Traceback:\nInvalidCxxCompiler: no g++\n", "no g[+][+]"),
        ("", "ended with code 7"),
    ],
)
def test_why_a_compiler_failed(tmp_path, said, why):
    (tmp_path / "log").write_text(said)
    with pytest.raises(
        ValueError, match=f"could not be compiled: .*{why}.*[.] It takes"
    ):
        building.check_built(7, tmp_path / "log")


# ---- a checkpoint out


def test_an_export_to_a_full_disk(tmp_path):
    (tmp_path / "to").mkdir()
    started = process(tmp_path, export_to_a_full_disk, tmp_path / "to" / "model")
    started.join(PATIENCE)
    assert started.exitcode == 1
    words = read(tmp_path, "err").splitlines()[-1]
    assert words.startswith(f"OSError: {tmp_path / 'to' / 'model'} cannot be written: ")
    assert "File too large" in words
    assert list((tmp_path / "to").iterdir()) == []


def export_to_a_full_disk(target):
    with small_files(4000):
        export(tiny.model(), target)


def test_what_another_export_has_left_is_not_in_the_way(tmp_path):
    """Killed, in a container whose processes have the same numbers each time."""
    (tmp_path / f".model.{os.getpid()}.part").mkdir()
    assert (export(tiny.model(), tmp_path / "model") / "config.json").exists()


# ---- streams that are closed


def test_without_a_stderr_a_text_is_written(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    arguments = ["the cat", "--max-new-tokens", "2", "--model", str(checkpoint)]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("the cat")


def test_without_a_stderr_programs_are_compiled(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text("import sys; open(sys.argv[2], 'w').write('made')")
    monkeypatch.setattr(building, "WORKER", worker)
    monkeypatch.setattr(sys, "stderr", None)
    program = Program(torch.nn.ReLU(), (torch.ones(2),), ({},))
    packages = building.built({"a": program, "b": program}, tmp_path)
    assert [path.read_text() for path in packages.values()] == ["made"] * 2


def test_without_a_stdin_a_chat_has_no_lines(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["--model", str(checkpoint), "--device", "cpu"]) == 0
    assert capsys.readouterr().out == ""


def test_without_a_stderr_a_checkpoint_is_loaded(checkpoint, monkeypatch):
    ids = tiny.ids(1, 4)
    expected = load(checkpoint, device="cpu")[0](ids)
    monkeypatch.setattr(sys, "stderr", None)
    assert torch.equal(load(checkpoint, device="cpu")[0](ids), expected)
