"""What is written to a file in the repository replaces it at once, or not at all."""

from pathlib import Path

import execute
import gpu
import machine
import nbformat
import pytest
import whole


def raw(path):
    return lambda text: whole.write(path, text)


def figures(path):
    return lambda text: gpu.keep(path, {"text": text})


def result(path):
    return lambda text: machine.write("raw", {"date": path.stem[4:], "text": text})


def notebook(path):
    def store(text):
        execute.store(nbformat.v4.new_notebook(metadata={"text": text}), path)

    return store


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("writer", [raw, figures, result, notebook])
def test_the_old_file_stays(tmp_path, monkeypatch, writer, error):
    path = tmp_path / "raw-2026.json"
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    write = writer(path)
    write("old")
    old = path.read_text()
    assert "old" in old

    def half(*given, **options):
        place = next(each for each in given if isinstance(each, Path))
        with place.open("w") as file:
            file.write("{")
        raise error

    monkeypatch.setattr(Path, "write_text", half)
    monkeypatch.setattr(nbformat, "write", lambda _, path: half(path))
    with pytest.raises(type(error)):
        write("new")
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    write("new")
    assert "new" in path.read_text()
