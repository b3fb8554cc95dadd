"""The X-ray of a layer: every tensor is the one that the pure functions make, and Hugging Face's."""

import base64

import numpy
import pytest
import tiny
import torch
from torch.nn.functional import linear, silu
from transformers import LlamaConfig as HFConfig
from transformers.models.llama import modeling_llama as hf

from companion import (
    apply_rope,
    causal_mask,
    merge_heads,
    repeat_kv,
    rms_norm,
    show,
    split_heads,
)
from companion.show.interactive.pixels import levels, pooled
from companion.show.llama.layer_call import record
from companion.show.llama.stations import STATIONS

LENGTH = 5


@pytest.fixture
def model():
    return tiny.model()


def their_layer(model, layer_idx):
    names = (
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "rms_norm_eps",
    )
    sizes = {name: getattr(model.config, name) for name in names}
    config = HFConfig(**sizes, num_hidden_layers=2, attn_implementation="eager")
    layer = hf.LlamaDecoderLayer(config, layer_idx).eval()
    layer.load_state_dict(model.model.layers[layer_idx].state_dict())
    return layer


def by_hand(layer, hidden, past_keys, past_values, past):
    """The layer by the functions of the chapters, tensor by tensor."""
    w = {
        name.removesuffix(".weight").split(".")[-1]: p
        for name, p in layer.named_parameters()
    }
    cos_sin = layer.rotary_emb(hidden, torch.arange(past, past + hidden.shape[1])[None])
    normed = rms_norm(hidden, w["input_layernorm"], layer.input_layernorm.eps)
    query, key, value = (
        split_heads(linear(normed, w[f"{n}_proj"]), h)
        for n, h in (("q", 4), ("k", 2), ("v", 2))
    )
    turned, key_turned = apply_rope(query, *cos_sin), apply_rope(key, *cos_sin)
    keys = torch.cat([*past_keys, key_turned], dim=2)
    values = torch.cat([*past_values, value], dim=2)
    many_keys, many_values = repeat_kv(keys, 2), repeat_kv(values, 2)
    scores = turned @ many_keys.mT
    scaled = scores / query.shape[-1] ** 0.5
    mask = causal_mask(hidden.shape[1], keys.shape[2])
    masked = scaled.masked_fill(~mask, -torch.inf)
    weights = masked.softmax(-1)
    heads = weights @ many_values
    attended = linear(merge_heads(heads), w["o_proj"])
    middle = hidden + attended
    again = rms_norm(middle, w["post_attention_layernorm"], layer.input_layernorm.eps)
    gate, up = linear(again, w["gate_proj"]), linear(again, w["up_proj"])
    gated = silu(gate) * up
    fed = linear(gated, w["down_proj"])
    return [
        hidden,
        normed,
        query,
        key,
        value,
        turned,
        key_turned,
        keys,
        values,
        many_keys,
        many_values,
        scores,
        scaled,
        masked,
        weights,
        heads,
        attended,
        middle,
        again,
        gate,
        up,
        gated,
        fed,
        middle + fed,
    ]


@pytest.mark.parametrize("layer_idx", [0, 1])
def test_every_tensor_is_the_one_by_hand(model, layer_idx):
    layer = model.model.layers[layer_idx]
    inputs = {"prefill": torch.randn(1, LENGTH, 16), "decode": torch.randn(1, 1, 16)}
    calls = record(model.config, layer, inputs, their_layer(model, layer_idx))
    first = by_hand(layer, inputs["prefill"], [], [], 0)
    names = [station.name for station in STATIONS]
    keys, values = (first[names.index(name)] for name in ("keys", "values"))
    second = by_hand(layer, inputs["decode"], [keys], [values], LENGTH)
    for made, right in ((calls["prefill"], first), (calls["decode"], second)):
        for name, mine, its in zip(names, made, right, strict=True):
            torch.testing.assert_close(
                mine.value, its, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_every_line_of_hugging_face_is_found(model):
    shown = show.layer_xray(
        model, tiny.ids(1, LENGTH), "A layer.", theirs=their_layer(model, 0)
    )
    for call, without in (
        ("prefill", {"hidden_states", "scores", "gated"}),
        ("decode", {"hidden_states", "scores", "gated", "masked"}),
    ):
        for box, made in zip(
            shown.trace["boxes"], shown.trace["calls"][call], strict=True
        ):
            if made is None:
                assert box["kind"] == "weights"
            else:
                assert bool(made["theirs"]) == (box["name"] not in without), box


def test_flops_and_bytes_add_up_to_the_layers(model):
    shown = show.layer_xray(model, tiny.ids(1, LENGTH), "A layer.")
    layer = model.model.layers[0]
    ran = show.ledger(layer, torch.randn(1, LENGTH, 16))
    made = shown.trace["calls"]["prefill"]
    assert sum(each["cost"][0] for each in made) == ran.total.flops
    assert not any(
        each["theirs"]
        for box, each in zip(shown.trace["boxes"], made, strict=True)
        if box["kind"] != "weights"
    )


def test_cells_are_of_the_first_matrix(model):
    shown = show.layer_xray(model, tiny.ids(1, LENGTH), "A layer.")
    boxes = [box["name"] for box in shown.trace["boxes"]]
    made = shown.trace["calls"]["prefill"][boxes.index("gate_proj")]
    weight = model.model.layers[0].mlp.gate_proj.weight
    assert made["most"] == pytest.approx(weight.abs().max().item(), rel=6e-3)
    cells = numpy.frombuffer(base64.b64decode(made["cells"]), dtype=numpy.int8)
    assert cells.tolist() == levels(pooled(weight), made["most"]).flatten().tolist()
    masked = shown.trace["calls"]["prefill"][boxes.index("masked")]
    cells = numpy.frombuffer(base64.b64decode(masked["cells"]), dtype=numpy.int8)
    assert ((cells.reshape(5, 5) == -128) == ~causal_mask(5).numpy()).all()


def test_other_weights_are_found_out(model):
    theirs = their_layer(model, 0)
    theirs.self_attn.k_proj.weight.data[0, 0] += 1
    with pytest.raises(ValueError, match=r"key \(1, 2, 5, 4\) is not what their layer"):
        show.layer_xray(model, tiny.ids(1, LENGTH), "A layer.", theirs=theirs)


@pytest.mark.parametrize("layer_idx", [-1, 2])
def test_a_layer_that_is_not_there(model, layer_idx):
    with pytest.raises(ValueError, match="the model has layers 0 to 1"):
        show.layer_xray(model, tiny.ids(1, LENGTH), "A layer.", layer_idx=layer_idx)
