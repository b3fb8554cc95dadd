"""The grader of a whole Llama, of functions of tensors."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from companion.config import LlamaConfig
from companion.exercises.gallery import FAULTS, with_random_weights
from companion.exercises.graders.grading import (
    Grade,
    check_numbers,
    check_tensor,
    gap,
    graded,
)
from companion.exercises.planting import Planted
from companion.model import LlamaForCausalLM
from companion.rope import rope_cos_sin

Weights = dict[str, Tensor]
Llama = Callable[[Weights, LlamaConfig, Tensor], Tensor]

# Of these chapters each mistake is planted in the small model; the others need a cache or ranks.
INSIDE = "attention", "heads", "mask", "norm_swiglu", "rope", "gqa", "decoder_layer"
NO_NUMBERS = "does a query see no key at all, not even its own?"
WITHIN = 0.01  # rounding moves the logits of SmolLM2 by less, a mistake by more


def check_llama(llama: Llama, model: LlamaForCausalLM, input_ids: Tensor) -> Grade:
    """Grade `llama(weights, config, input_ids)`: logits (batch, length, vocab) from the weights
    of a state dict. First on two small Llamas with random weights, where each mistake of the
    gallery can be tried, then beside `model`, on its weights and these ids.
    """

    @graded
    def grade(llama: Llama) -> str | None:
        with torch.inference_mode():
            for tied in (True, False):
                if problem := check_small(llama, small_llama(tied)):
                    return problem
            return check_real(llama, model, input_ids)

    return grade(llama)


def small_llama(tied: bool) -> LlamaForCausalLM:
    """A Llama of 11 layers with random weights, norms included; its rope_theta and its eps are no
    usual ones.
    """
    config = LlamaConfig(
        vocab_size=13,
        hidden_size=24,
        intermediate_size=20,
        num_hidden_layers=11,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        rope_theta=300.0,
        rms_norm_eps=0.05,
        tie_word_embeddings=tied,
    )
    return with_random_weights(LlamaForCausalLM(config))


def check_small(llama: Llama, model: LlamaForCausalLM) -> str | None:
    """What is wrong on random weights, in two texts at once."""
    ids = torch.tensor([[1, 5, 2, 7, 3, 12], [0, 4, 4, 9, 11, 6]])
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    before = {name: weight.clone() for name, weight in weights.items()}
    tied = model.config.tie_word_embeddings
    where = f"with a head that is {'tied' if tied else 'a matrix of its own'}"
    expected, answer = model(ids), llama(weights, model.config, ids.clone())
    changed = [name for name in before if not torch.equal(before[name], weights[name])]
    if changed:
        return (
            f"{where}: {changed[0]} is written to, and the next call needs it as it was"
        )
    if problem := check_tensor("the result", answer, expected):
        return f"{where}: {problem}"
    if torch.allclose(answer, expected, rtol=1e-3, atol=1e-3):
        return None
    if answer.isnan().any():
        return f"{where}: there are logits that are no numbers: {NO_NUMBERS}"
    problem = check_numbers(answer, expected, dict(mistakes(model, ids)))
    return f"{where}: {problem or 'it is off by ' + gap(answer, expected)}"


def check_real(llama: Llama, model: LlamaForCausalLM, ids: Tensor) -> str | None:
    """Whether the logits are those of the model whose weights are run."""
    expected, answer = model(ids), llama(model.state_dict(), model.config, ids)
    if problem := check_tensor("with the model's weights the result", answer, expected):
        return problem
    if (answer - expected).abs().max() < WITHIN:
        return None
    return (
        f"right with random weights, and with the model's off by up to "
        f"{gap(answer, expected)}: are rms_norm_eps, rope_theta and all sizes taken from "
        "config, and from nowhere else?"
    )


def mistakes(model: LlamaForCausalLM, ids: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What each mistake makes of it: those around the layers, and those of the gallery."""
    yield from around_the_layers(model, ids)
    yield from other_constants(model, ids)
    for fault in FAULTS.values():
        if fault.chapter in INSIDE and isinstance(fault.planted, Planted):
            with fault.planted.in_place(fault.wrong, model):
                yield fault.title, model(ids)


def around_the_layers(
    model: LlamaForCausalLM, ids: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The mistakes that are made outside the layers, or with the order of them."""
    layers, inner, logits = model.model.layers, model.model, model.logits
    x = inner.embed_tokens(ids)
    whole = inner.norm(through(model, layers, x))
    yield "no layer has run: this is the embedding times the head", logits(x)
    yield "no layer has run, only the last norm", logits(inner.norm(x))
    unnormed = logits(through(model, layers, x))
    yield "the last norm, model.norm.weight, is left out", unnormed
    yield "these are probabilities, and logits are asked for", logits(whole).softmax(-1)
    if not model.config.tie_word_embeddings:
        table = inner.embed_tokens.weight
        yield "the head is lm_head.weight where there is one", whole @ table.T
    as_text = sorted(range(len(layers)), key=str)
    orders: dict[str, Iterable[nn.Module]] = {
        "every layer has the weights of layer 0": [layers[0]] * len(layers),
        "the last layer is left out": layers[:-1],
        "the first layer is left out": layers[1:],
        "the layers run from the last to the first": layers[::-1],
        "layer 10 runs before layer 2": [layers[i] for i in as_text],
    }
    for wrong, some in orders.items():
        yield wrong, logits(inner.norm(through(model, some, x)))


def other_constants(
    model: LlamaForCausalLM, ids: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The mistakes that are made with a number: of the embedding, of RoPE, of the norms."""
    inner, logits = model.model, model.logits
    x, layers = inner.embed_tokens(ids), inner.layers
    larger = math.sqrt(x.shape[-1]) * x
    times_root = logits(inner.norm(through(model, layers, larger)))
    yield (
        "the embedding is multiplied by √hidden_size, as in 2017 and in Gemma",
        times_root,
    )
    for theta in (10000.0, 100000.0, 500000.0):
        found = logits(inner.norm(through(model, layers, x, theta)))
        yield f"rope_theta is that of config, and this takes {theta:,.0f}", found
    norms = [module for module in model.modules() if hasattr(module, "eps")]
    for eps in (1e-6, 1e-5, 0.0):
        for norm in norms:
            norm.eps = eps  # type: ignore[assignment]
        found = model(ids)
        for norm in norms:
            norm.eps = model.config.rms_norm_eps  # type: ignore[assignment]
        yield f"rms_norm_eps is that of config, and this takes {eps:g}", found


def through(
    model: LlamaForCausalLM,
    layers: Iterable[nn.Module],
    x: Tensor,
    theta: float | None = None,
) -> Tensor:
    """Hidden states after some of the model's layers, in this order."""
    places, config = torch.arange(x.shape[1])[None], model.config
    angles = rope_cos_sin(places, config.head_dim, theta or config.rope_theta)
    for layer in layers:
        x = layer(x, position_embeddings=angles)
    return x
