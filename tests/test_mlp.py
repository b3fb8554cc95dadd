import math

import pytest
import tiny
import torch

from companion import LlamaMLP, swiglu


def test_swiglu_by_hand():
    gate, up = (
        torch.tensor([0.0, math.log(3), -math.log(3)]),
        torch.tensor([5.0, 2.0, 2.0]),
    )
    log3 = math.log(3)
    torch.testing.assert_close(
        swiglu(gate, up), torch.tensor([0.0, 1.5 * log3, -0.5 * log3])
    )


def test_gate_and_up_are_not_alike():
    gate, up = torch.randn(2, 4), torch.randn(2, 4)
    assert not torch.allclose(swiglu(gate, up), swiglu(up, gate))


@pytest.mark.parametrize("bias", [False, True])
def test_module_by_its_formula(bias, device):
    mlp = LlamaMLP(tiny.config(mlp_bias=bias)).to(device)
    x = torch.randn(2, 3, 16, device=device)
    gate, up = mlp.gate_proj(x), mlp.up_proj(x)
    torch.testing.assert_close(mlp(x), mlp.down_proj(gate / (1 + (-gate).exp()) * up))
    assert all((layer.bias is not None) == bias for layer in mlp.children())


def test_parameters():
    assert {
        name: tuple(p.shape) for name, p in LlamaMLP(tiny.config()).named_parameters()
    } == {
        "gate_proj.weight": (24, 16),
        "up_proj.weight": (24, 16),
        "down_proj.weight": (16, 24),
    }


def test_tokens_do_not_mix():
    mlp, x = LlamaMLP(tiny.config()), torch.randn(1, 4, 16)
    torch.testing.assert_close(mlp(x)[:, 2], mlp(x[:, 2]))
