"""The bill of a split model, against figures that were worked out by hand."""

import pytest
import tiny
import torch

from companion import LlamaConfig
from companion.parallel import Collective, predicted, share

LLAMA_8B = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
)


def test_two_all_reduces_a_layer_one_before_them_and_one_all_gather_after():
    found = predicted(tiny.config(vocab_size=264), 2, 3, 5, torch.float32)
    assert [(each.operation, each.after, each.shape) for each in found] == [
        ("all_reduce", "model.embed_tokens", (3, 5, 16)),
        ("all_reduce", "model.layers.0.self_attn.o_proj", (3, 5, 16)),
        ("all_reduce", "model.layers.0.mlp.down_proj", (3, 5, 16)),
        ("all_reduce", "model.layers.1.self_attn.o_proj", (3, 5, 16)),
        ("all_reduce", "model.layers.1.mlp.down_proj", (3, 5, 16)),
        ("all_gather", "lm_head", (3, 132)),
    ]


def test_one_rank_sends_nothing():
    assert predicted(tiny.config(), 1, 3, 5, torch.float32) == []
    bill = share(tiny.config(), 1, 3, 5, torch.float32, max_length=5)
    assert (bill.all_reduces, bill.all_gathers, bill.sent) == (0, 0, 0)


@pytest.mark.parametrize(("ranks", "sent"), [(2, 400), (4, 600), (8, 700)])
def test_ring_all_reduce_sends_almost_twice_what_is_summed(ranks, sent):
    assert Collective("all_reduce", "", (100,), torch.float32).sent(ranks) == sent


@pytest.mark.parametrize(("ranks", "sent"), [(2, 200), (4, 300), (8, 350)])
def test_ring_all_gather_sends_almost_what_is_gathered(ranks, sent):
    part = Collective("all_gather", "", (100 // ranks,), torch.float32)
    assert part.sent(ranks) == pytest.approx(sent, rel=0.05)
    assert part.sent(ranks) == (ranks - 1) * part.nbytes


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_each_of_more_ranks_holds_less_and_sends_no_less(ranks):
    bill = share(LLAMA_8B, ranks, 1, 1, torch.bfloat16, max_length=8192)
    matrices = 8_030_261_248 - 65 * 4096
    assert bill.weights == 2 * (matrices // ranks + 65 * 4096)
    assert bill.cache == 2**30 // ranks
    if ranks > 1:
        assert (bill.all_reduces, bill.all_gathers) == (65, 1)
        summed = 65 * 2 * (ranks - 1) / ranks * 4096 * 2
        assert bill.sent == summed + (ranks - 1) / ranks * 128256 * 2


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_one_rank_holds_the_whole_model(bias, tied):
    options = {"attention_bias": bias, "mlp_bias": bias, "tie_word_embeddings": tied}
    model = tiny.model(**options)
    bill = share(model.config, 1, 1, 1, torch.float32, max_length=1)
    assert bill.weights == sum(x.nbytes for x in model.parameters())
