"""Tensors that are not those of the config: what the file likely is, and a remedy that works."""

import json

import pytest
import tiny
import tiny_files
import torch
from refused import refused

from companion import load


def write(path, model, *, drop=(), add=None, rename=lambda key: key, **changes):
    tensors = {rename(k): x for k, x in model.state_dict().items() if k not in drop}
    return tiny_files.write_directory(
        path, model, tensors={**tensors, **(add or {})}, **changes
    )


def follow(directory, **changes):
    """Do what a message says of config.json, after which the model loads."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return load(directory, device="cpu")[0]


PROJECTION = "model.layers.0.self_attn.q_proj"
UP = "model.layers.1.mlp.up_proj"
SURPLUS = {
    f"{PROJECTION}.lora_A.default.weight": "an adapter is wrapped around its layers",
    f"{PROJECTION}.base_layer.weight": "an adapter is wrapped around its layers",
    f"{PROJECTION}.weight_scale": "its weights are quantized",
    f"{PROJECTION}.weight_scale_inv": "its weights are quantized",
    f"{PROJECTION}.scales": "its weights are quantized",
    f"{PROJECTION}.absmax": "its weights are quantized",
    f"{PROJECTION}.weight.absmax": "its weights are quantized",
    f"{PROJECTION}.SCB": "its weights are quantized",
    "model.layers.0.self_attn.qkv_proj.weight": "fused",
    "model.layers.0.self_attn.W_pack.weight": "fused",
    "model.layers.0.mlp.gate_up_proj.weight": "fused",
    "layers.0.attention.wq.weight": "Meta's",
    "tok_embeddings.weight": "Meta's",
    "transformer.h.0.attn.c_attn.weight": "GPT-2",
    "gpt_neox.layers.0.attention.dense.weight": "another architecture",
    "model.layers.0.self_attn.q_norm.weight": "of another architecture",
    "model.layers.0.post_feedforward_layernorm.weight": "of another architecture",
    "model.layers.0.block_sparse_moe.gate.weight": "of another architecture",
    "model.layers.0.mlp.experts.0.w1.weight": "of another architecture",
    "model.vision_tower.patch.weight": "pictures or sound",
    "multi_modal_projector.linear_1.weight": "pictures or sound",
    "score.weight": "another head",
    "v_head.summary.weight": "another head",
    "fc.weight": "another head",
    "anything.weight": "config.json is that of another",
}


@pytest.mark.parametrize(("name", "what"), SURPLUS.items())
def test_tensor_of_another_kind_of_file(tmp_path, model, name, what):
    write(tmp_path, model, add={name: torch.ones(2)})
    refused(tmp_path, tmp_path, "1 surplus tensor", name, what)


def test_model_of_other_names(tmp_path, model):
    """Then the names as they are in the file are quoted."""
    write(
        tmp_path,
        model,
        rename=lambda key: key.replace("self_attn.q_proj", "attention.wq"),
    )
    refused(
        tmp_path,
        "lacks 2 tensors",
        "model.layers.0.self_attn.q_proj.weight",
        "2 surplus tensors",
        "model.layers.0.attention.wq.weight",
        "Meta's",
    )


def test_surplus_in_a_wrapped_model(tmp_path, model):
    def rename(key):
        return f"module.{key}".replace("mlp.up_proj", "mlp.other")

    write(tmp_path, model, rename=rename)
    refused(tmp_path, "module.model.layers.0.mlp.other.weight", "surplus")


def test_head_that_is_the_embedding(tmp_path, model):
    write(tmp_path, model, drop=("lm_head.weight",))
    refused(
        tmp_path,
        "lacks 1 tensor",
        "lm_head.weight",
        "set tie_word_embeddings to true",
        "base model",
    )
    assert follow(tmp_path, tie_word_embeddings=True).config.tie_word_embeddings


def test_base_model_without_a_head(tmp_path, model):
    write(
        tmp_path,
        model,
        drop=("lm_head.weight",),
        rename=lambda key: key.removeprefix("model."),
    )
    refused(tmp_path, "lacks 1 tensor", "lm_head.weight", "saved without its head")


def test_more_layers_than_the_config_says(tmp_path, model):
    write(tmp_path, model, num_hidden_layers=1)
    refused(tmp_path, "9 surplus tensors", "2 layers", "set num_hidden_layers to 2")
    assert follow(tmp_path, num_hidden_layers=2).config.num_hidden_layers == 2


def test_fewer_layers_than_the_config_says(tmp_path, model):
    write(tmp_path, model, num_hidden_layers=3)
    refused(tmp_path, "lacks 9 tensors", "2 layers", "set num_hidden_layers to 2")
    assert follow(tmp_path, num_hidden_layers=2).config.num_hidden_layers == 2


@pytest.mark.parametrize(
    "biases",
    [
        {"attention_bias": True},
        {"mlp_bias": True},
        {"attention_bias": True, "mlp_bias": True},
    ],
    ids=str,
)
def test_biases_that_the_config_does_not_say(tmp_path, biases):
    write(tmp_path, tiny.model(**biases), attention_bias=False, mlp_bias=False)
    names = " and ".join(biases)
    refused(tmp_path, "surplus tensors", f"set {names} to true in config.json")
    assert follow(tmp_path, **biases)


@pytest.mark.parametrize("name", ["attention_bias", "mlp_bias"])
def test_biases_that_are_not_there(tmp_path, model, name):
    write(tmp_path, model, **{name: True})
    refused(tmp_path, "lacks", f"set {name} to false in config.json")
    assert follow(tmp_path, **{name: False})


@pytest.mark.parametrize("said", [True, False])
def test_biases_of_qwen2(tmp_path, model, said):
    sizes = {"q": 16, "k": 8, "v": 8}
    names = {
        f"model.layers.{i}.self_attn.{p}_proj.bias": sizes[p]
        for i in (0, 1)
        for p in "qkv"
    }
    added = {name: torch.ones(size) for name, size in names.items()}
    write(tmp_path, model, add=added, attention_bias=said)
    refused(tmp_path, "these are biases of", "another architecture, such as Qwen2")


# ---- shapes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", 255),  # the file has more rows than the config says: padded
        ("intermediate_size", 20),
        ("num_key_value_heads", 4),
        ("head_dim", 2),
    ],
)
def test_size_that_the_file_has(tmp_path, model, name, value):
    write(tmp_path, model, **{name: value})
    right = getattr(model.config, name)
    refused(
        tmp_path, "its config asks for", f"with {name} {right} in config.json it fits"
    )
    assert getattr(follow(tmp_path, **{name: right}).config, name) == right


@pytest.mark.parametrize("part", ["mlp.up_proj", "mlp.down_proj", "self_attn.k_proj"])
def test_transposed_matrices(tmp_path, model, part):
    name = f"model.layers.0.{part}.weight"
    write(tmp_path, model, add={name: model.state_dict()[name].T.contiguous()})
    refused(tmp_path, name, "(in, out)", "transpose the matrices")


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", f"{UP}.weight"])
def test_weights_of_deepspeed(tmp_path, model, name):
    write(tmp_path, model, add={name: torch.ones(0)})
    refused(tmp_path, name, "(0,)", "ZeRO-3", "gather them")


def test_gguf_of_another_vocabulary(tmp_path, model):
    """Its config is in it, and nobody can set a size."""
    path = tmp_path / "tiny.gguf"
    options = {"metadata": {"llama.feed_forward_length": 25}}
    tiny_files.write_gguf(path, model.config, model.state_dict(), **options)
    refused(path, "(24, 16)", "(25, 16)")
    with pytest.raises(ValueError, match=r"asks for \(25, 16\)$"):
        load(path, device="cpu")
