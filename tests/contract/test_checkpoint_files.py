"""What is no checkpoint says what it is, and what to do about it."""

import json
import shutil

import pytest
import tiny_files
import torch
from refusal import said
from refused import refused
from safetensors.torch import save_file

from companion import load

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 269\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>"


# ---- what is handed to load


@pytest.mark.parametrize("source", [b"model", 3, ["model"], "", True], ids=repr)
def test_source_that_is_no_path(source):
    with pytest.raises(ValueError, match=said("source is", "directory", ".gguf")):
        load(source, device="cpu")


class BytesPath:
    def __fspath__(self):
        return b"model"


def test_path_of_bytes():
    with pytest.raises(ValueError, match=said("source is", "as text or a Path")):
        load(BytesPath(), device="cpu")


@pytest.mark.parametrize(
    "source",
    [
        "meta-llama/Llama-3.2-1B",
        "TheBloke/Llama-2-7B-GGUF",
        "https://huggingface.co/meta-llama/Llama-3.2-1B",
    ],
)
def test_name_on_the_hub(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = source.removeprefix("https://huggingface.co/")
    quotes = said("nothing is downloaded here", f"snapshot_download({name!r})")
    with pytest.raises(FileNotFoundError, match=quotes):
        load(source, device="cpu")


@pytest.mark.parametrize("source", ["/no/where", "./no/where", "where", "~/no/where"])
def test_path_where_nothing_is(source):
    with pytest.raises(FileNotFoundError, match="no checkpoint at") as caught:
        load(source, device="cpu")
    assert "hub" not in str(caught.value)


def test_home_of_nobody():
    with pytest.raises(
        FileNotFoundError, match=said("no checkpoint at ~nobody-here/x")
    ):
        load("~nobody-here/x", device="cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_file_of_a_directory(directory, name):
    (directory / "README.md").write_text("A model.")
    refused(
        directory / name, directory / name, "give its directory", repr(str(directory))
    )


PICKLE, GGML, POINTS = "pickle", "GGML model from before GGUF", "Git LFS pointer"
FILES = {
    "a pickle by its name": ("model.bin", b"anything", PICKLE),
    "a checkpoint of Lightning": ("last.ckpt", b"anything", PICKLE),
    "a zip of torch.save": ("MODEL", b"PK\3\4" + bytes(60), PICKLE),
    "torch.save of old": (
        "weights",
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        PICKLE,
    ),
    "ggml": ("ggml-model-q4_0.bin", b"lmgg" + bytes(60), GGML),
    "ggmf": ("ggml-model.bin", b"fmgg" + bytes(60), GGML),
    "ggjt": ("llama-7b.ggmlv3.q4_0.bin", b"tjgg" + bytes(60), GGML),
    "ggml under a new name": ("llama-7b.gguf", b"tjgg" + bytes(60), GGML),
    "a pointer to a GGUF": ("llama-7b.gguf", POINTER, POINTS),
    "a pointer to a pickle": ("pytorch_model.bin", POINTER, POINTS),
    "a page for a GGUF": ("llama-7b.gguf", PAGE, "what a server answered"),
    "no entry": ("llama-7b.gguf", b"Entry not found", "what a server answered"),
    "ONNX": ("model.onnx", b"\x08\x07", "ONNX"),
    "HDF5": ("tf_model.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
    "Flax": ("flax_model.msgpack", b"\x81", "Flax"),
    "an archive": ("llama.tar", b"llama/", "unpack it"),
    "an empty file": ("MODEL", b"", "empty"),
    "anything": ("MODEL", b"anything", "neither a directory nor a .gguf file"),
}


@pytest.mark.parametrize(("name", "content", "what"), FILES.values(), ids=FILES)
def test_file_that_is_something_else(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, tmp_path / name, what)


# ---- a file of a directory that is not what its name says

ELSE = {
    "pointer": (POINTER, POINTS),
    "page": (PAGE, "what a server answered"),
    "answer": (b'{"error":"Repository not found"}', "what a server answered"),
}


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ],
)
@pytest.mark.parametrize(("content", "what"), ELSE.values(), ids=ELSE)
def test_file_of_a_directory_that_is_something_else(directory, name, content, what):
    (directory / name).write_bytes(content)
    refused(directory, directory / name, what)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"GGUF" + bytes(20), "a GGUF file"), (b"PK\3\4" + bytes(20), PICKLE)],
    ids=["GGUF", "pickle"],
)
def test_other_weights_named_safetensors(directory, content, what):
    (directory / "model.safetensors").write_bytes(content)
    refused(directory, directory / "model.safetensors", what)


def test_shard_that_is_a_pointer(model, tmp_path):
    tiny_files.write_directory(tmp_path, model, shards=2)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(POINTER)
    refused(tmp_path, shard, POINTS)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_link_to_a_blob_that_is_not_there(directory, name):
    (directory / name).unlink()
    (directory / name).symlink_to("../../blobs/4d7a")
    refused(directory, directory / name, "is a link to ../../blobs/4d7a")


def test_link_to_nothing(tmp_path):
    (tmp_path / "llama").symlink_to("gone")
    refused(tmp_path / "llama", tmp_path / "llama", "is a link to gone")


# ---- directories


def test_directory_of_ggufs(model, tmp_path):
    files = [tmp_path / f"tiny.{kind}.gguf" for kind in ("F16", "Q8_0")]
    head = model.lm_head.weight
    tiny_files.write_gguf(files[0], model.config, model.state_dict())
    refused(tmp_path, tmp_path, "GGUF files", f"give {str(files[0])!r}")
    assert torch.equal(load(files[0], device="cpu")[0].lm_head.weight, head)
    files[1].write_bytes(files[0].read_bytes())
    refused(tmp_path, repr(str(files[0])), "or", repr(str(files[1])))
    (tmp_path / "config.json").write_text(json.dumps(tiny_files.hf_dict(model.config)))
    refused(tmp_path, repr(str(files[0])), "or", repr(str(files[1])))


def test_directory_of_a_gguf_in_parts(model, tmp_path):
    tiny_files.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict(), tensors_per_part=8
    )
    first = tmp_path / "tiny-00001-of-00003.gguf"
    with pytest.raises(ValueError, match=rf"give {str(first)!r}$"):
        load(tmp_path, device="cpu")
    head = load(first, device="cpu")[0].lm_head.weight
    assert torch.equal(head, model.lm_head.weight)


def adapter(path, name="adapter_model.safetensors"):
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file({"base_model.model.x.lora_A.weight": torch.ones(1)}, path / name)


def test_adapter_alone(tmp_path):
    adapter(tmp_path)
    refused(
        tmp_path, "an adapter", "adapter_config.json", "base model", "merge_and_unload"
    )


def test_adapter_beside_the_config_of_its_base(directory):
    (directory / "model.safetensors").unlink()
    adapter(directory)
    refused(directory, "an adapter", "adapter_config.json", "load its base model")


def test_adapter_beside_a_model(directory):
    adapter(directory)
    refused(directory, "adapter_config.json beside model.safetensors", "not applied")
    (directory / "adapter_config.json").unlink()  # Hugging Face then passes it over too
    assert load(directory, device="cpu")


@pytest.mark.parametrize("name", ["params.json", "consolidated.00.pth"])
def test_model_as_meta_publishes_it(tmp_path, name):
    (tmp_path / name).write_text("{}")
    refused(tmp_path, "as Meta or Mistral publish it", "config.json and *.safetensors")


OTHERS = {
    "pytorch_model.bin": (b"PK\3\4" + bytes(60), PICKLE),
    "ggml-model-q4_0.bin": (b"lmgg" + bytes(60), GGML),
    "model.bin": (POINTER, POINTS),
    "model.onnx": (b"\x08\x07", "ONNX"),
    "onnx/model.onnx": (b"\x08\x07", "ONNX"),
    "flax_model.msgpack": (b"\x81", "Flax"),
    "tf_model.h5": (b"\x89HDF", "HDF5"),
}


@pytest.mark.parametrize("config", [True, False])
@pytest.mark.parametrize(
    ("name", "content", "what"), [(n, *o) for n, o in OTHERS.items()]
)
def test_directory_of_other_weights(directory, name, content, what, config):
    (directory / "model.safetensors").unlink()
    if not config:
        (directory / "config.json").unlink()
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(content)
    (directory / "optimizer.pt").write_bytes(b"PK\3\4")
    refused(directory, directory, f"has only {name}", what)


def test_directory_of_a_training_without_weights(directory):
    (directory / "model.safetensors").rename(directory / "training_args.bin")
    refused(directory, "no *.safetensors in", error=FileNotFoundError)


def hub_cache(root, model, old=True):
    """A model in a hub cache: blobs, the newest revision, and one before it."""
    home = root / "models--owner--name"
    snapshot = home / "snapshots" / "1b2c"
    for folder in (home / "blobs", home / "refs", snapshot):
        folder.mkdir(parents=True)
    (home / "refs" / "main").write_text("1b2c")
    tiny_files.write_directory(home / "blobs", model)
    for name in ("config.json", "model.safetensors"):
        (home / "blobs" / name).rename(home / "blobs" / name[:3])
        (snapshot / name).symlink_to(f"../../blobs/{name[:3]}")
    if old:
        shutil.copytree(snapshot, home / "snapshots" / "0a1b", symlinks=True)
    return home, snapshot


def test_root_of_a_hub_cache(model, tmp_path):
    home, snapshot = hub_cache(tmp_path, model)
    refused(home, "no config.json", f"give {str(snapshot)!r}")
    assert torch.equal(
        load(snapshot, device="cpu")[0].lm_head.weight, model.lm_head.weight
    )


@pytest.mark.parametrize("hub", ["", "hub"])
def test_hub_cache_of_all_models(model, tmp_path, hub):
    _, snapshot = hub_cache(tmp_path / hub, model, old=False)
    refused(tmp_path, "no config.json", f"give {str(snapshot)!r}")


def test_directory_above_a_gguf(model, tmp_path):
    file = tmp_path / "gguf" / "tiny.gguf"
    file.parent.mkdir()
    tiny_files.write_gguf(file, model.config, model.state_dict())
    refused(tmp_path, "no config.json", f"give {str(file)!r}")


def test_directory_above(directory):
    (directory / "last").mkdir()
    for name in ("config.json", "model.safetensors"):
        (directory / name).rename(directory / "last" / name)
    refused(directory, "no config.json", f"give {str(directory / 'last')!r}")
    assert load(directory / "last", device="cpu")
