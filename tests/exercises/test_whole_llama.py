"""The grader of a Llama that the reader has written."""

import re

import pytest
import tiny
import torch
import torch.nn.functional as F

from companion import LlamaForCausalLM, apply_rope, rms_norm, swiglu
from companion.exercises import FAULTS, check_llama
from companion.exercises.graders.whole_llama import (
    INSIDE,
    around_the_layers,
    check_small,
    other_constants,
    small_llama,
)
from companion.exercises.planting import Planted
from companion.rope import rope_cos_sin

IDS = torch.tensor([[1, 5, 2, 7, 3]])
NAMES = [
    name
    for name, fault in FAULTS.items()
    if fault.chapter in INSIDE
    and isinstance(fault.planted, Planted)
    and name != "mask_top_left"  # right where there are as many queries as keys
]


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def loaded(weights, config):
    """The package's Llama of these weights."""
    model = LlamaForCausalLM(config)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def package(weights, config, ids):
    return loaded(weights, config)(ids)


def tensors(weights, config, ids, *, eps=None, theta=None, order=None):
    """Functions of tensors, with torch's attention."""
    eps, theta = eps or config.rms_norm_eps, theta or config.rope_theta
    cos_sin = rope_cos_sin(torch.arange(ids.shape[1])[None], config.head_dim, theta)
    x = F.embedding(ids, weights["model.embed_tokens.weight"])
    for i in order or range(config.num_hidden_layers):
        part = f"model.layers.{i}."
        w = {n[len(part) :]: each for n, each in weights.items() if n.startswith(part)}
        x = layer(x, w, cos_sin, eps)
    x = rms_norm(x, weights["model.norm.weight"], eps)
    return F.linear(
        x, weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    )


def layer(x, w, cos_sin, eps):
    normed = rms_norm(x, w["input_layernorm.weight"], eps)
    query, key, value = (
        F.linear(normed, w[f"self_attn.{n}_proj.weight"])
        .unflatten(-1, (-1, cos_sin[0].shape[-1]))
        .transpose(1, 2)
        for n in "qkv"
    )
    query, key = (apply_rope(each, *cos_sin) for each in (query, key))
    attended = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, enable_gqa=True
    )
    x = x + F.linear(attended.transpose(1, 2).flatten(2), w["self_attn.o_proj.weight"])
    normed = rms_norm(x, w["post_attention_layernorm.weight"], eps)
    gate, up = (F.linear(normed, w[f"mlp.{n}_proj.weight"]) for n in ("gate", "up"))
    return x + F.linear(swiglu(gate, up), w["mlp.down_proj.weight"])


def row_by_row(weights, config, ids):
    return torch.cat([tensors(weights, config, row[None]) for row in ids])


@pytest.mark.parametrize("right", [package, tensors, row_by_row])
def test_a_right_llama_passes(right, model):
    assert repr(check_llama(right, model, IDS)) == "✓ right"


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_of_the_gallery_is_named(name, model):
    fault = FAULTS[name]

    def wrong(weights, config, ids):
        made = loaded(weights, config)
        with fault.planted.in_place(fault.wrong, made):
            return made(ids)

    grade = check_llama(wrong, model, IDS)
    assert not grade.passed
    blind = name in ("mask_off_by_one", "mask_reversed")  # a row of no numbers
    assert ("see no key at all" if blind else fault.title) in grade.message


@pytest.mark.parametrize("tied", [True, False])
def test_a_mistake_around_the_layers_is_named(tied):
    made = small_llama(tied)
    with torch.inference_mode():
        for kind in (around_the_layers, other_constants):
            titles = [title for title, _ in kind(made, IDS)]
            assert len(titles) == len(set(titles)) > 5
            for title in titles:
                problem = check_small(imitating(kind, title), small_llama(tied))
                assert problem.startswith("with a head that is ")
                assert title in problem


def imitating(kind, title):
    def wrong(weights, config, ids):
        return dict(kind(loaded(weights, config), ids))[title]

    return wrong


def test_no_two_mistakes_around_the_layers_are_one():
    with torch.inference_mode():
        made = small_llama(tied=False)
        found = [*around_the_layers(made, IDS), *other_constants(made, IDS)]
    for i, (_, one) in enumerate(found):
        assert not any(torch.allclose(one, other) for _, other in found[:i])


def test_the_grader_leaves_its_model_as_it_was():
    made = small_llama(tied=True)
    before = made(IDS)
    list(other_constants(made, IDS))
    assert torch.equal(made(IDS), before)


def writes(weights, config, ids):
    weights["model.norm.weight"].mul_(2)
    return tensors(weights, config, ids)


REJECTED = [
    (lambda w, c, ids: tensors(w, c, ids, theta=10000.0), "this takes 10,000"),
    (lambda w, c, ids: tensors(w, c, ids, eps=1e-5), "this takes 1e-05"),
    (lambda w, c, ids: tensors(w, c, ids, order=[0] * 11), "weights of layer 0"),
    (lambda w, c, ids: tensors(w, c, ids)[:, -1], "has shape"),
    (lambda w, c, ids: tensors(w, c, ids).double(), "torch.float64"),
    (lambda w, c, ids: tensors(w, c, ids) + 1, "off by up to 1"),
    (lambda w, c, ids: tensors(w, c, ids[:1]).expand(len(ids), -1, -1), "off by up to"),
    (lambda w, c, ids: tensors(w, c, ids) / 0 * 0, "logits that are no numbers"),
    (writes, "model.norm.weight is written to"),
    (
        lambda w, c, ids: F.linear(tensors(w, c, ids), w["lm_head.weight"]),
        "raises KeyError",
    ),
    (
        lambda w, c, ids: tensors(w, c, ids, eps=c.rms_norm_eps if c.vocab_size == 13 else 0.5),
        "^right with random weights, and with the model's off by up to .* from config",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "says"), REJECTED)
def test_the_grader_says_what_is_wrong(wrong, says, model):
    grade = check_llama(wrong, model, IDS)
    assert not grade.passed
    assert re.search(says, grade.message), grade
