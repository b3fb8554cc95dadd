"""How much memory a call holds at once."""

import torch

from companion import scaled_dot_product_attention, show


def test_counts_what_is_held_at_once():
    def chain(x):
        y = x + 1  # 400
        y = y * 2  # 800 while both are there
        z = y[:50].view(5, 10)  # nothing
        del y
        return z + 1  # 600: a view keeps all of its memory

    assert show.peak_bytes(chain, torch.zeros(100)) == 800


def test_freed_memory_counts_once():
    def loop(x):
        total = torch.zeros(10)
        for _ in range(20):
            total += (x * 2).sum()
        return total

    assert show.peak_bytes(loop, torch.zeros(100)) == 40 + 400 + 4


def test_in_place_and_arguments_are_not_counted():
    x = torch.zeros(100)
    assert show.peak_bytes(lambda x: x.add_(1).mul_(2)[3:], x) == 0


def test_is_the_same_without_memory():
    query, key = torch.randn(2, 2, 40, 8)
    there = [x.to("meta") for x in (query, key, key)]
    attend, causal = scaled_dot_product_attention, {"is_causal": True}
    here = show.peak_bytes(attend, query, key, key, **causal)
    assert show.peak_bytes(attend, *there, **causal) == here
    assert here >= 2 * 40 * 40 * 4
