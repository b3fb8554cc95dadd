"""Two processes at once at the same folder, and a file that is whole whenever one looks."""

import json
import os
import zipfile

import tiny
import whole
from staged import PATIENCE, process, read, until

from companion.fast.compiled import store
from companion.parallel import export

ROUNDS = 15


def packages(folder):
    """Two that have one name, each of which is whole."""
    made = []
    for number in range(2):
        made.append(folder / f"{number}.pt2")
        with zipfile.ZipFile(made[-1], "w") as written:
            written.writestr("code", bytes([number]) * 100_000)
    return made


def both(tmp_path, function, *arguments):
    """The processes of a function, when they have ended; each knows its number."""
    started = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        given = function, number, *arguments
        started.append(process(tmp_path / str(number), *given))
    for each in started:
        each.join(PATIENCE)
    return started


def together(number, folder):
    """Go on when the other process is here too."""
    (folder / f"{number} is here").touch()
    until((folder / f"{1 - number} is here").exists)


def test_a_package_is_the_one_or_the_other(tmp_path, folder):
    ended = both(tmp_path, keep_and_find, packages(tmp_path), folder.parent)
    errors = [read(tmp_path / str(i), "err") for i in range(2)]
    assert [each.exitcode for each in ended] == [0, 0], errors
    assert [path.name for path in folder.iterdir()] == ["name.pt2"]


def keep_and_find(number, made, home):
    os.environ["COMPANION_CACHE"] = str(home)
    contents = [path.read_bytes() for path in made]
    together(number, made[0].parent)
    for _ in range(ROUNDS):
        assert store.keep("name", made[number]) is None
        assert store.find("name").read_bytes() in contents


def test_a_new_package_takes_the_place_of_a_whole_one(tmp_path, folder, monkeypatch):
    """Or does not, and then the old one is there as before."""
    old, new = packages(tmp_path)
    assert store.keep("name", old) is None
    seen = []

    def fails(part, target):
        seen.append(part.read_bytes())
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(old), "replace", fails)
    assert store.keep("name", new) == f"{folder}: Input/output error"
    assert seen == [new.read_bytes()]
    assert store.find("name").read_bytes() == old.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["name.pt2"]


def test_an_export_is_one_of_two(tmp_path):
    ended = both(tmp_path, export_once, tmp_path / "to" / "model")
    assert {each.exitcode for each in ended} <= {0, 1}
    assert 0 in [each.exitcode for each in ended]
    files = sorted(path.name for path in (tmp_path / "to" / "model").iterdir())
    assert files == ["config.json", "model.safetensors"]
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["model"]
    for i, each in enumerate(ended):
        last = (read(tmp_path / str(i), "err").splitlines() or [""])[-1]
        assert ("model" in last and "Error: " in last) == bool(each.exitcode)


def export_once(number, target):
    together(number, target.parent.parent)
    export(tiny.model(), target)


def test_a_file_is_the_one_or_the_other(tmp_path):
    path = tmp_path / "raw.json"
    ended = both(tmp_path, write_and_read, path)
    errors = [read(tmp_path / str(i), "err") for i in range(2)]
    assert [each.exitcode for each in ended] == [0, 0], errors
    assert not list(tmp_path.glob(".*"))


def write_and_read(number, path):
    together(number, path.parent)
    for _ in range(20 * ROUNDS):
        whole.write(path, json.dumps([number] * 2_000))
        assert json.loads(path.read_text())[0] in (0, 1)
