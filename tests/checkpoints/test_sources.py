"""The ways to say where a checkpoint is."""

import os

import pytest
import tiny
import tiny_files
import torch

from companion import load


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def assert_loads(source, model):
    head = load(source, device="cpu")[0].lm_head.weight
    assert torch.equal(head, model.lm_head.weight)


class Place:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


@pytest.mark.parametrize(
    "said",
    [str, lambda path: f"{path}/", Place, lambda path: path / ".." / path.name],
    ids=["text", "trailing slash", "PathLike", "dots"],
)
def test_ways_to_write_a_path(model, tmp_path, said):
    assert_loads(said(tiny_files.write_directory(tmp_path, model)), model)


def test_home_directory(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "llama").mkdir()
    tiny_files.write_directory(tmp_path / "llama", model)
    for source in ("~/llama", "~/llama/", Place("~/llama")):
        assert_loads(source, model)


def test_directory_that_is_called_as_the_home_directory(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    tiny_files.write_directory(tmp_path / "~", model)
    assert_loads("~", model)


def test_relative_path_that_reads_as_a_name_on_the_hub(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    tiny_files.write_directory(tmp_path / "owner" / "name", model)
    assert_loads("owner/name", model)


@pytest.mark.parametrize("shards", [1, 2])
def test_links_into_a_hub_cache(model, tmp_path, shards):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1b2c"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    tiny_files.write_directory(blobs, model, shards=shards)
    for number, file in enumerate(sorted(blobs.iterdir())):
        blob = file.rename(blobs / f"{number:040}")
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    assert_loads(snapshot, model)
