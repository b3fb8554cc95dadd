"""Which files of a directory are the model: never an old one without a word."""

import json

import pytest
import tiny
import tiny_files
import torch
from safetensors.torch import save_file

from companion import load

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture(scope="module")
def models():
    return tiny.model(), tiny.model()


def head(path):
    return load(path, device="cpu")[0].lm_head.weight


def write_single(path, model, name=SINGLE):
    save_file(model.state_dict(), path / name)


def refused(path, *quotes, error=ValueError):
    with pytest.raises(error) as caught:
        load(path, device="cpu")
    assert type(caught.value) is error
    assert all(str(quote) in str(caught.value) for quote in quotes), caught.value


def test_one_file_saved_over_shards(models, tmp_path):
    """Hugging Face removes the shards then, and leaves their index."""
    old, new = models
    tiny_files.write_directory(tmp_path, old, shards=3)
    for shard in tmp_path.glob("model-*"):
        shard.unlink()
    write_single(tmp_path, new)
    assert torch.equal(head(tmp_path), new.lm_head.weight)


@pytest.mark.parametrize("index", [True, False])
def test_one_file_and_shards(models, tmp_path, index):
    """Hugging Face leaves the file when it saves shards, and then loads the old weights."""
    old, new = models
    tiny_files.write_directory(tmp_path, new, shards=2)
    write_single(tmp_path, old)
    if not index:
        (tmp_path / INDEX).unlink()
    refused(tmp_path, SINGLE, "model-00001-of-00002.safetensors", "older save")
    (tmp_path / SINGLE).unlink()  # the remedy
    assert torch.equal(head(tmp_path), new.lm_head.weight)


def test_some_shards_and_one_file(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0], shards=2)
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    write_single(tmp_path, models[1])
    refused(tmp_path, SINGLE, "model-00002-of-00002.safetensors")


def test_index_of_one_file(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0])
    names = dict.fromkeys(models[0].state_dict(), SINGLE)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": names}))
    assert torch.equal(head(tmp_path), models[0].lm_head.weight)


def test_index_chooses_among_shards_of_two_saves(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0], shards=3)
    tiny_files.write_directory(
        tmp_path, models[1], shards=2
    )  # the index is of this one
    assert torch.equal(head(tmp_path), models[1].lm_head.weight)
    (tmp_path / INDEX).unlink()
    refused(tmp_path, "-of-00002", "-of-00003", "both hold")


def test_consolidated_copy(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0], shards=2)
    write_single(tmp_path, models[1], "consolidated.safetensors")
    assert torch.equal(head(tmp_path), models[0].lm_head.weight)
    (tmp_path / INDEX).unlink()
    names = ("consolidated.safetensors", "model-00001-of-00002.safetensors")
    refused(tmp_path, *names, "two copies of the model")


@pytest.mark.parametrize("other", ["pytorch_model.bin", "consolidated.safetensors"])
def test_model_safetensors_goes_before(models, tmp_path, other):
    tiny_files.write_directory(tmp_path, models[0])
    write_single(tmp_path, models[1], other)
    assert torch.equal(head(tmp_path), models[0].lm_head.weight)


def test_shard_that_is_missing_without_an_index(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0], shards=3)
    (tmp_path / INDEX).unlink()
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    refused(
        tmp_path,
        tmp_path / "model-00002-of-00003.safetensors",
        "3 shards",
        error=FileNotFoundError,
    )


def test_variant(models, tmp_path):
    tiny_files.write_directory(tmp_path, models[0])
    (tmp_path / SINGLE).rename(tmp_path / "model.fp16.safetensors")
    assert torch.equal(head(tmp_path), models[0].lm_head.weight)
    write_single(tmp_path, models[1], "model.bf16.safetensors")
    refused(tmp_path, "model.fp16.safetensors", "model.bf16.safetensors", "both hold")
    write_single(tmp_path, models[1])
    assert torch.equal(head(tmp_path), models[1].lm_head.weight)


def test_file_that_the_config_names(models, tmp_path):
    options = {"transformers_weights": "other.safetensors"}
    tiny_files.write_directory(tmp_path, models[0], **options)
    write_single(tmp_path, models[1], "other.safetensors")
    assert torch.equal(head(tmp_path), models[1].lm_head.weight)
    (tmp_path / "other.safetensors").unlink()
    refused(tmp_path, "other.safetensors is not there", error=FileNotFoundError)


def test_index_that_the_config_names(models, tmp_path):
    options = {"transformers_weights": "other.safetensors.index.json"}
    tiny_files.write_directory(tmp_path, models[1], shards=2, **options)
    (tmp_path / INDEX).rename(tmp_path / "other.safetensors.index.json")
    write_single(tmp_path, models[0])
    assert torch.equal(head(tmp_path), models[1].lm_head.weight)
    (tmp_path / "other.safetensors.index.json").unlink()
    refused(tmp_path, "config.json names it", error=FileNotFoundError)


@pytest.mark.parametrize("name", ["../other.safetensors", "other.bin", 3])
def test_file_that_the_config_may_not_name(models, tmp_path, name):
    tiny_files.write_directory(tmp_path, models[0], transformers_weights=name)
    refused(tmp_path, "config.json", repr(name), "in the same directory")
