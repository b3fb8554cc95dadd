"""The weights of every head are those that the model computes with."""

import pytest
import tiny
import torch

from companion import attention_weights
from companion.decoder import LlamaAttention
from companion.gqa import repeat_kv
from companion.show.llama.weights import weights_of_heads


def test_they_are_the_models():
    """Handed in as `attend`, they give the same logits."""
    model, ids = tiny.model(), tiny.ids(1, 6)
    weights = weights_of_heads(model, ids)
    assert weights.shape == (2, 4, 6, 6)
    given = iter(weights)

    def attend(query, key, value, **options):
        return next(given)[None] @ repeat_kv(value, 2)

    expected = model(ids)
    for layer in model.model.layers:
        layer.self_attn.attend = attend
    torch.testing.assert_close(model(ids), expected)


def test_rows_sum_to_one_and_later_tokens_get_nothing():
    weights = weights_of_heads(tiny.model(), tiny.ids(1, 6))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))
    assert not weights.triu(1).any()


def test_query_heads_of_a_group_read_the_same_keys():
    """Head h of q belongs to KV head h // 2."""
    model, ids = tiny.model(), tiny.ids(1, 5)
    kept = {}

    def attend(query, key, value, **options):
        kept.setdefault("query", query)
        kept.setdefault("key", key)
        return query

    model.model.layers[0].self_attn.attend = attend
    model(ids)
    weights = weights_of_heads(model, ids)[0]
    for head in range(4):
        query, key = kept["query"][0, head], kept["key"][0, head // 2]
        alone = attention_weights(query, key, is_causal=True)
        torch.testing.assert_close(weights[head], alone)


def test_the_model_is_left_as_it_was():
    model = tiny.model()
    attends = [m.attend for m in model.modules() if isinstance(m, LlamaAttention)]
    weights_of_heads(model, tiny.ids(1, 4))
    with pytest.raises(ValueError, match="input_ids"):
        weights_of_heads(model, torch.full((1, 4), 10**6))
    assert attends == [
        m.attend for m in model.modules() if isinstance(m, LlamaAttention)
    ]
