import torch
import torch.nn.functional as F
from grades import accepts, rejects, rejects_each
from torch import nn

from companion import rms_norm, swiglu
from companion.exercises import (
    check_fused_mlp,
    check_mlp,
    check_rms_norm,
    norm_swiglu,
)
from companion.exercises.graders.norm_swiglu import (
    FUSED_WRONGLY,
    NORMED_WRONGLY,
    fused_mlp,
)


def norm_by_division(x, weight, eps):
    wide = x.float()
    root = (wide.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return weight * (wide / root).to(x.dtype)


def norm_by_torch(x, weight, eps):
    return F.rms_norm(x.float(), x.shape[-1:], None, eps).to(x.dtype) * weight


def token_by_token(x, weight, eps):
    normed = torch.empty_like(x)
    for place in torch.cartesian_prod(*map(torch.arange, x.shape[:-1])).tolist():
        token = x[tuple(place)].double()
        normed[tuple(place)] = (token / (token @ token / len(token) + eps).sqrt()).to(
            x.dtype
        )
    return normed * weight


def mlp_with(gating):
    def mlp(x, gate_proj, up_proj, down_proj):
        return gating(x @ gate_proj.T, x @ up_proj.T) @ down_proj.T

    return mlp


test_accepts_norm = accepts(
    check_rms_norm, rms_norm, norm_by_division, norm_by_torch, token_by_token
)

test_rejects_norm = rejects(
    check_rms_norm,
    (norm_swiglu.norm_cast_late, "^in bfloat16: RMSNorm mult"),
    (norm_swiglu.norm_eps_outside, "^on numbers near 0.001, .* root"),
    (norm_swiglu.norm_mean_subtracted, "mean of the features is"),
    (lambda x, w, eps: F.layer_norm(x, w.shape, w, None, eps), "LayerNorm"),
    (norm_swiglu.norm_not_widened, "^in bfloat16: The squares are taken in"),
    (lambda x, w, eps: 2 * rms_norm(x, w, eps), "^on random .* off by"),
    (lambda x, w, eps: rms_norm(x, w, eps).float(), "bfloat16 is torch.float32"),
)  # fmt: skip
test_rejects_known_norms = rejects_each(check_rms_norm, NORMED_WRONGLY)


def mlp_of_a_module(x, gate_proj, up_proj, down_proj):
    gate, up, down = (
        nn.Linear(*W.T.shape, bias=False) for W in (gate_proj, up_proj, down_proj)
    )
    gate.weight.data, up.weight.data, down.weight.data = gate_proj, up_proj, down_proj
    return down(F.silu(gate(x)) * up(x))


def mlp_feature_by_feature(x, gate_proj, up_proj, down_proj):
    out = torch.zeros_like(x)
    for gate, up, down in zip(gate_proj, up_proj, down_proj.T, strict=True):
        gated = (x @ gate) * (x @ gate).sigmoid() * (x @ up)
        out += gated[..., None] * down
    return out


test_accepts_mlp = accepts(
    check_mlp, mlp_with(swiglu), mlp_of_a_module, mlp_feature_by_feature
)

test_rejects_mlp = rejects(
    check_mlp,
    (mlp_with(norm_swiglu.gate_and_up_exchanged), "silu falls on up"),
    (mlp_with(norm_swiglu.silu_of_product), "product gate"),
    (mlp_with(norm_swiglu.sigmoid_for_silu), "first GLU"),
    (mlp_with(lambda gate, up: F.relu(gate) * up), "off by up to"),
    (lambda x, gate, up, down: x @ gate.T, "has shape"),
    (lambda x, gate, up, down: x @ gate, "raises RuntimeError"),
)  # fmt: skip


def fused_by_rows(x, gate_up_proj, down_proj):
    width = down_proj.shape[1]
    both = F.linear(x, gate_up_proj)
    return F.linear(F.silu(both[..., :width]) * both[..., width:], down_proj)


def fused_with_two(x, gate_up_proj, down_proj):
    return mlp_feature_by_feature(x, *gate_up_proj.chunk(2), down_proj)


def fused_by_axes(x, gate_up_proj, down_proj):
    gate, up = (x @ gate_up_proj.unflatten(0, (2, 1, -1)).mT).unbind(0)
    return swiglu(gate, up) @ down_proj.T


test_accepts_fused = accepts(
    check_fused_mlp, fused_by_rows, fused_with_two, fused_by_axes
)

test_rejects_fused = rejects(
    check_fused_mlp,
    (lambda x, both, down: fused_mlp(x, both, down, lambda g, u: F.relu(g) * u), "off"),
    (lambda x, both, down: fused_mlp(x, both, down).double(), "float64"),
    (lambda x, both, down: x @ both.T, "has shape"),
)  # fmt: skip
test_rejects_known_fused = rejects_each(check_fused_mlp, FUSED_WRONGLY)
