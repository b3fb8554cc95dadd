import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion import rms_norm, swiglu
from companion.exercises import check_mlp, check_rms_norm, norm_swiglu


def norm_by_division(x, weight, eps):
    wide = x.float()
    root = (wide.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return weight * (wide / root).to(x.dtype)


def mlp_with(gating):
    def mlp(x, gate_proj, up_proj, down_proj):
        return gating(x @ gate_proj.T, x @ up_proj.T) @ down_proj.T

    return mlp


test_accepts_norm = accepts(check_rms_norm, rms_norm, norm_by_division)

test_rejects_norm = rejects(
    check_rms_norm,
    (norm_swiglu.norm_cast_late, "^in bfloat16: RMSNorm mult"),
    (norm_swiglu.norm_eps_outside, "^on numbers near 0.001, .* root"),
    (norm_swiglu.norm_mean_subtracted, "mean of the features is"),
    (lambda x, w, eps: F.layer_norm(x, w.shape, w, None, eps), "LayerNorm"),
    (norm_swiglu.norm_not_widened, "^in bfloat16: The squares are taken in"),
    (lambda x, w, eps: rms_norm(x, torch.ones_like(w), eps), "left out"),
    (lambda x, w, eps: w * F.normalize(x, dim=-1), "^on random .* off by"),
    (lambda x, w, eps: rms_norm(x, w, eps).float(), "bfloat16 is torch.float32"),
)  # fmt: skip

test_accepts_mlp = accepts(check_mlp, mlp_with(swiglu))

test_rejects_mlp = rejects(
    check_mlp,
    (mlp_with(norm_swiglu.gate_and_up_exchanged), "silu falls on up"),
    (mlp_with(norm_swiglu.silu_of_product), "product gate"),
    (mlp_with(norm_swiglu.sigmoid_for_silu), "first GLU"),
    (mlp_with(lambda gate, up: F.relu(gate) * up), "off by up to"),
    (lambda x, gate, up, down: x @ gate.T, "has shape"),
    (lambda x, gate, up, down: x @ gate, "raises RuntimeError"),
)  # fmt: skip
