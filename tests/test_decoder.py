import math

import pytest
import tiny
import torch
import torch.nn.functional as F

from companion import KVCache, LlamaDecoderLayer, LlamaRotaryEmbedding, causal_mask
from companion.decoder import next_positions


def make_layer(dtype=torch.float32, device="cpu", layer_idx=0, **changes):
    layer = LlamaDecoderLayer(tiny.config(**changes), layer_idx)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer.to(device, dtype).requires_grad_(False)


def test_shape_that_goes_in_comes_out(device):
    assert make_layer(device=device)(torch.randn(2, 5, 16, device=device)).shape == (
        2,
        5,
        16,
    )


def test_parameters_have_hugging_faces_names():
    names = {
        name: tuple(p.shape)
        for name, p in LlamaDecoderLayer(tiny.config(), 0).named_parameters()
    }
    assert names == {
        "self_attn.q_proj.weight": (16, 16),
        "self_attn.k_proj.weight": (8, 16),
        "self_attn.v_proj.weight": (8, 16),
        "self_attn.o_proj.weight": (16, 16),
        "mlp.gate_proj.weight": (24, 16),
        "mlp.up_proj.weight": (24, 16),
        "mlp.down_proj.weight": (16, 24),
        "input_layernorm.weight": (16,),
        "post_attention_layernorm.weight": (16,),
    }


def test_biases_are_where_the_config_says():
    with_bias = LlamaDecoderLayer(tiny.config(attention_bias=True), 0)
    assert {
        name for name, _ in with_bias.named_parameters() if name.endswith("bias")
    } == {f"self_attn.{name}_proj.bias" for name in "qkvo"}


def test_layer_without_output_weights_is_the_identity():
    layer, x = make_layer(), torch.randn(2, 5, 16)
    layer.self_attn.o_proj.weight.zero_()
    layer.mlp.down_proj.weight.zero_()
    assert torch.equal(layer(x), x)


def test_layer_is_the_sum_of_its_parts():
    layer, x = make_layer(), torch.randn(2, 5, 16)
    angles = layer.rotary_emb(x, torch.arange(5)[None])
    attended = layer.self_attn(layer.input_layernorm(x), angles)
    after_attention = x + attended
    expected = after_attention + layer.mlp(
        layer.post_attention_layernorm(after_attention)
    )
    assert torch.equal(layer(x), expected)


def test_later_tokens_have_no_influence():
    layer, x = make_layer(), torch.randn(1, 6, 16)
    changed = torch.cat([x[:, :4], torch.randn(1, 2, 16)], dim=1)
    torch.testing.assert_close(layer(x)[:, :4], layer(changed)[:, :4])
    assert not torch.allclose(layer(x)[:, 4:], layer(changed)[:, 4:])


def test_earlier_tokens_have_influence():
    layer, x = make_layer(), torch.randn(1, 6, 16)
    changed = torch.cat([torch.randn(1, 1, 16), x[:, 1:]], dim=1)
    assert not torch.allclose(layer(x)[:, 5], layer(changed)[:, 5])


@pytest.mark.parametrize(
    "form", ["2-D bool", "4-D bool", "per head", "float32", "own dtype"]
)
def test_every_form_of_the_causal_mask_gives_the_same(form):
    layer, x = make_layer(torch.float64), torch.randn(2, 5, 16, dtype=torch.float64)
    allowed = causal_mask(5)
    added = torch.zeros(5, 5).masked_fill(~allowed, -math.inf)
    mask = {
        "2-D bool": allowed,
        "4-D bool": allowed[None, None],
        "per head": allowed.expand(2, 4, 5, 5),
        "float32": added[None, None],
        "own dtype": added.double(),
    }[form]
    torch.testing.assert_close(layer(x, mask), layer(x))


def test_mask_given_takes_the_place_of_the_causal_one():
    layer, x = make_layer(), torch.randn(1, 4, 16)
    everything = layer(x, torch.ones(4, 4, dtype=torch.bool))
    assert not torch.allclose(everything[:, 0], layer(x)[:, 0])
    torch.testing.assert_close(everything[:, 3], layer(x)[:, 3])


def test_positions_may_be_given_in_three_ways():
    layer, x = make_layer(), torch.randn(2, 5, 16)
    positions = torch.arange(5)[None]
    angles = LlamaRotaryEmbedding(tiny.config())(x, positions)
    for given in (
        {"position_ids": positions},
        {"position_ids": positions.expand(2, 5)},
        {"position_embeddings": angles},
    ):
        assert torch.equal(layer(x, **given), layer(x))


def test_position_embeddings_go_before_position_ids():
    layer, x = make_layer(), torch.randn(1, 3, 16)
    angles = layer.rotary_emb(x, torch.tensor([[0, 5, 9]]))
    output = layer(
        x, position_ids=torch.tensor([[0, 1, 2]]), position_embeddings=angles
    )
    assert torch.equal(output, layer(x, position_ids=torch.tensor([[0, 5, 9]])))


def test_a_shift_of_all_positions_changes_nothing():
    layer, x = make_layer(torch.float64), torch.randn(1, 5, 16, dtype=torch.float64)
    shifted = layer(x, position_ids=torch.arange(7, 12)[None])
    torch.testing.assert_close(shifted, layer(x), atol=1e-5, rtol=1e-5)


def test_order_of_positions_matters():
    layer, x = make_layer(), torch.randn(1, 5, 16)
    assert not torch.allclose(
        layer(x, position_ids=torch.tensor([[0, 2, 4, 6, 8]])), layer(x)
    )


# ---- with a cache


@pytest.mark.parametrize("chunks", [[6], [1] * 6, [3, 3], [4, 1, 1], [1, 5]], ids=str)
def test_in_chunks_through_the_cache_equals_all_at_once(chunks, device):
    layer = make_layer(torch.float64, device)
    x = torch.randn(2, 6, 16, dtype=torch.float64, device=device)
    cache = KVCache(tiny.config(), 2, 6, dtype=torch.float64, device=device)
    outputs = []
    for chunk in x.split(chunks, dim=1):
        outputs.append(layer(chunk, past_key_values=cache))
    torch.testing.assert_close(torch.cat(outputs, dim=1), layer(x), atol=5e-14, rtol=0)


def test_writes_to_its_own_layer_which_counts_by_itself():
    layer = make_layer(layer_idx=1)
    cache = KVCache(tiny.config(), 1, 4)
    layer(torch.randn(1, 3, 16), past_key_values=cache)
    assert cache.lengths == [0, 3]
    assert cache.keys[0].eq(0).all()
    assert cache.keys[1, :, :, :3].ne(0).all()
    assert cache.keys[1, :, :, 3:].eq(0).all()


def test_keys_are_cached_after_rope():
    layer, x = make_layer(), torch.randn(1, 3, 16)
    cache = KVCache(tiny.config(), 1, 3)
    layer(x, past_key_values=cache, position_ids=torch.tensor([[0, 0, 0]]))
    unturned = cache.keys[0].clone()
    cache = KVCache(tiny.config(), 1, 3)
    layer(x, past_key_values=cache)
    assert torch.equal(cache.keys[0, :, :, 0], unturned[:, :, 0])
    assert not torch.allclose(cache.keys[0, :, :, 1:], unturned[:, :, 1:])


def test_next_positions_go_on_where_the_cache_ends():
    assert next_positions(3).tolist() == [[0, 1, 2]]
    assert next_positions(2, 4).tolist() == [[4, 5]]
    layer, x = make_layer(layer_idx=1), torch.randn(1, 6, 16)
    cache = KVCache(tiny.config(), 1, 6)
    layer(x[:, :4], past_key_values=cache)
    angles = layer.angles(x[:, 4:], None, cache)
    assert all(map(torch.equal, angles, layer.rotary_emb(x, torch.tensor([[4, 5]]))))


# ---- attention from outside


def test_attend_may_be_torchs_function(device):
    config = tiny.config()
    ours, theirs = (
        LlamaDecoderLayer(config, 0),
        LlamaDecoderLayer(config, 0, F.scaled_dot_product_attention),
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 16, device=device)
    torch.testing.assert_close(ours.to(device)(x), theirs.to(device)(x))


class Listener:
    """Stands in for attention and keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, query, key, value, **options):
        self.calls.append((query.shape, key.shape, value.shape, options))
        return query


def test_attend_gets_ungrouped_heads():
    attend = Listener()
    LlamaDecoderLayer(tiny.config(), 0, attend)(torch.randn(2, 5, 16))
    ((query, key, value, options),) = attend.calls
    assert (query, key, value) == ((2, 4, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4))
    assert (options["enable_gqa"], options["dropout_p"]) == (True, 0.0)


class StaticCache:
    """Returns all its room at once and counts in a tensor, as Hugging Face's does."""

    def __init__(self, room):
        self.keys, self.values = (torch.zeros(1, 2, room, 4) for _ in range(2))
        self.counted = torch.tensor(0)

    def get_seq_length(self, layer_idx=0):
        return self.counted

    def update(self, key, value, layer_idx):
        stop = self.counted + key.shape[-2]
        self.keys[:, :, self.counted : stop] = key
        self.values[:, :, self.counted : stop] = value
        self.counted.add_(key.shape[-2])
        return self.keys, self.values


def options_of_chunks(chunks, cache):
    """The attn_mask and is_causal of each call, when that many tokens are given at a time."""
    attend = Listener()
    layer = LlamaDecoderLayer(tiny.config(), 0, attend).requires_grad_(False)
    for chunk in torch.randn(1, sum(chunks), 16).split(chunks, dim=1):
        layer(chunk, past_key_values=cache)
    return [
        (options["attn_mask"], options["is_causal"]) for *_, options in attend.calls
    ]


@pytest.mark.parametrize("cached", [False, True])
def test_attend_gets_is_causal_for_the_first_tokens(cached):
    cache = KVCache(tiny.config(), 1, 9) if cached else None
    assert options_of_chunks([5], cache) == [(None, True)]


def test_attend_gets_no_mask_for_one_token():
    cache = KVCache(tiny.config(), 1, 9)
    assert options_of_chunks([1, 1, 1], cache) == [(None, False)] * 3


def test_attend_gets_a_mask_for_several_tokens_behind_a_cache():
    _, (mask, is_causal) = options_of_chunks([4, 3], KVCache(tiny.config(), 1, 9))
    assert torch.equal(mask, causal_mask(3, 7))
    assert not is_causal


@pytest.mark.parametrize("room", [6, 9])
def test_attend_gets_a_mask_where_a_cache_has_empty_places(room):
    calls = options_of_chunks([3, 2, 1], StaticCache(room))
    for start, (mask, is_causal) in zip((0, 3, 5), calls, strict=True):
        assert torch.equal(mask, causal_mask(room)[start : start + mask.shape[0]])
        assert not is_causal


def test_a_mask_reaches_the_empty_places_of_a_cache():
    attend = Listener()
    layer = LlamaDecoderLayer(tiny.config(), 0, attend).requires_grad_(False)
    given = torch.ones(2, 9, dtype=torch.bool)
    layer(torch.randn(1, 2, 16), given, past_key_values=StaticCache(9))
    assert attend.calls[0][-1]["attn_mask"] is given


def test_attend_gets_the_mask_that_is_given():
    attend, given = Listener(), torch.ones(5, 5, dtype=torch.bool)
    LlamaDecoderLayer(tiny.config(), 0, attend)(torch.randn(2, 5, 16), given)
    ((*_, options),) = attend.calls
    assert options["attn_mask"] is given
    assert not options["is_causal"]


@pytest.mark.parametrize(("training", "dropped"), [(True, 0.25), (False, 0.0)])
def test_weights_are_dropped_in_training_alone(training, dropped):
    asked = []

    def attend(*qkv, dropout_p, **options):
        asked.append(dropout_p)
        return F.scaled_dot_product_attention(*qkv, **options)

    config = tiny.config(attention_dropout=0.25)
    LlamaDecoderLayer(config, 0, attend=attend).train(training)(torch.randn(1, 3, 16))
    assert asked == [dropped]


def test_a_full_static_cache_with_a_known_length_needs_a_mask():
    """Its keys end in places that are still empty, which no query may see."""
    attention = make_layer().self_attn
    query, key = torch.randn(1, 4, 1, 4), torch.randn(1, 2, 8, 4)
    seen = attention.who_sees_whom(query, key, None, 2)
    assert seen["attn_mask"].tolist() == [[True] * 3 + [False] * 5]
    assert attention.who_sees_whom(query, key, None, 7)["attn_mask"] is None
