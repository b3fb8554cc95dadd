"""Graders for the exercises on the parts of a Llama, and on the layer that joins
them.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    diagnosis,
    graded,
    same,
    wrong,
)
from companion.exercises.llama_faults import (
    GATE_FAULTS,
    LAYER_FAULTS,
    NORM_FAULTS,
    layer_arguments,
    layer_forward,
    mlp_arguments,
    norm_arguments,
)
from companion.gqa import repeat_kv
from companion.mlp import swiglu
from companion.norm import rms_norm
from companion.rope import apply_rope, rope_cos_sin


@graded
def check_rms_norm(norm: Callable[[Tensor, Tensor, float], Tensor]) -> Grade:
    """Grade `norm(x, weight, eps)` on x (batch, length, hidden) in three dtypes."""
    cases = {
        "on random numbers": norm_arguments(),
        "on numbers near 0.001, their squares as small as eps": norm_arguments(
            scale=1e-3
        ),
        "in bfloat16": norm_arguments(torch.bfloat16),
        "on numbers near 300 in float16": norm_arguments(torch.float16, scale=300.0),
    }
    for where, (x, weight, eps) in cases.items():
        expected, answer = rms_norm(x, weight, eps), norm(x, weight, eps)
        if problem := check_tensor(f"the result {where}", answer, expected):
            return problem
        if not same(answer, expected):
            known = {each.title: each.wrong(x, weight, eps) for each in NORM_FAULTS}
            known["the weight is left out"] = rms_norm(x, torch.ones_like(weight), eps)
            return wrong(f"{where}: {diagnosis(answer, expected, known)}")
    return RIGHT


@graded
def check_mlp(mlp: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Grade:
    """Grade `mlp(x, gate_proj, up_proj, down_proj)`, the weights (out, in) as
    nn.Linear stores them.
    """
    x, gate_proj, up_proj, down_proj = mlp_arguments()

    def with_gating(gating: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return gating(x @ gate_proj.T, x @ up_proj.T) @ down_proj.T

    expected, answer = with_gating(swiglu), mlp(x, gate_proj, up_proj, down_proj)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if same(answer, expected):
        return RIGHT
    known = {each.title: with_gating(each.wrong) for each in GATE_FAULTS}
    return wrong(diagnosis(answer, expected, known))


@graded
def check_decoder_layer(forward: Callable[..., Tensor]) -> Grade:
    """Grade `forward(layer, x, position_embeddings)`: what a LlamaDecoderLayer does,
    put together from its parts.
    """
    arguments = layer_arguments()
    expected, answer = layer_forward(*arguments), forward(*arguments)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if same(answer, expected):
        return RIGHT
    known = {each.title: each.wrong(*arguments) for each in LAYER_FAULTS}
    return wrong(diagnosis(answer, expected, known))


@graded
def check_repeat_kv(repeated: Callable[[Tensor, int], Tensor]) -> Grade:
    """Grade `repeated(x, n_rep)` on x (batch, kv_heads, length, head_dim)."""
    x = torch.arange(2.0)[None, :, None, None].expand(1, 2, 3, 4).contiguous()
    expected, answer = repeat_kv(x, 3), repeated(x, 3)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if not torch.equal(answer, expected):
        order = [int(head) for head in answer[0, :, 0, 0]]
        return wrong(
            f"the heads come as {order}; query head h belongs to key/value head h // "
            "n_rep: [0, 0, 0, 1, 1, 1]"
        )
    return RIGHT


@graded
def check_rope(rope: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Grade:
    """Grade `rope(x, cos, sin)` on x (batch, heads, length, head_dim), in
    rotate-half pairing.
    """
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(2))
    cos, sin = rope_cos_sin(torch.arange(4)[None], 8, 10000.0)
    expected, answer = apply_rope(x, cos, sin), rope(x, cos, sin)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.allclose(answer, expected, atol=1e-5):
        return RIGHT
    if torch.allclose(answer, x, atol=1e-5):
        return wrong("nothing was rotated")
    if not math.isclose(answer.norm().item(), x.norm().item(), rel_tol=1e-4):
        return wrong(
            "the length of the vectors changed; a rotation keeps it: check the "
            "signs in rotate_half"
        )
    return wrong(
        "a rotation, but not of the pairs (i, i + head_dim / 2): which features are "
        "turned together?"
    )
