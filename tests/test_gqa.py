import pytest
import torch

from companion import repeat_kv, scaled_dot_product_attention


def test_copies_are_neighbors():
    x = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    assert repeat_kv(x, 3).flatten().tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("n_rep", [1, 2, 5])
def test_equals_repeat_interleave(n_rep):
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(repeat_kv(x, n_rep), x.repeat_interleave(n_rep, dim=1))


def test_equals_enable_gqa(device):
    query = torch.randn(2, 6, 3, 4, device=device)
    key, value = (torch.randn(2, 2, 5, 4, device=device) for _ in range(2))
    repeated = scaled_dot_product_attention(
        query, repeat_kv(key, 3), repeat_kv(value, 3)
    )
    assert torch.equal(
        scaled_dot_product_attention(query, key, value, enable_gqa=True), repeated
    )
