import pytest
import tiny
import torch
import torch.nn.functional as F

from companion import KVCache, LlamaForCausalLM, LlamaModel, position_ids_from_mask

EXACT = {"atol": 5e-14, "rtol": 0}


def run_in_chunks(model, ids, chunks, max_length=None):
    cache = KVCache(
        model.config,
        ids.shape[0],
        max_length or ids.shape[1],
        dtype=model.dtype,
        device=model.device,
    )
    return torch.cat(
        [model(chunk, past_key_values=cache) for chunk in ids.split(chunks, dim=1)],
        dim=1,
    )


def test_logits_are_scores_of_the_vocabulary(device):
    model = tiny.model().to(device)
    logits = model(tiny.ids(2, 5).to(device))
    assert logits.shape == (2, 5, tiny.VOCAB_SIZE)
    assert logits.dtype == torch.float32
    assert model.device.type == device


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": True}, {"attention_bias": True, "mlp_bias": True}],
    ids=str,
)
def test_by_its_parts(changes):
    model, ids = tiny.model(**changes), tiny.ids(2, 5)
    hidden_states = model.model.embed_tokens.weight[ids]
    for layer in model.model.layers:
        hidden_states = layer(hidden_states)
    hidden_states = model.model.norm(hidden_states)
    head = (
        model.model.embed_tokens if model.config.tie_word_embeddings else model.lm_head
    )
    torch.testing.assert_close(model.model(ids), hidden_states)
    torch.testing.assert_close(model(ids), hidden_states @ head.weight.T)


def test_tied_head_has_no_weight_of_its_own():
    names = set(LlamaForCausalLM(tiny.config(tie_word_embeddings=True)).state_dict())
    assert set(LlamaForCausalLM(tiny.config()).state_dict()) - names == {
        "lm_head.weight"
    }


def test_parameters_have_hugging_faces_names():
    names = set(LlamaForCausalLM(tiny.config(num_hidden_layers=1)).state_dict())
    layer = {
        *(f"self_attn.{x}_proj" for x in "qkvo"),
        *(f"mlp.{x}_proj" for x in ("gate", "up", "down")),
        "input_layernorm",
        "post_attention_layernorm",
    }
    outside = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert names == outside | {f"model.layers.0.{name}.weight" for name in layer}


def test_ids_may_be_of_any_integer_dtype():
    model, ids = tiny.model(), tiny.ids(1, 4)
    assert torch.equal(model(ids.int()), model(ids))


@pytest.mark.parametrize("shape", [(1, 0), (0, 3)])
def test_nothing_in_nothing_out(shape):
    assert tiny.model()(torch.zeros(shape, dtype=torch.long)).shape == (
        *shape,
        tiny.VOCAB_SIZE,
    )


def test_later_tokens_have_no_influence():
    model, ids = tiny.model(torch.float64), tiny.ids(1, 6)
    changed = torch.cat([ids[:, :4], (ids[:, 4:] + 1) % tiny.VOCAB_SIZE], dim=1)
    torch.testing.assert_close(model(ids)[:, :4], model(changed)[:, :4], **EXACT)


def test_attend_reaches_every_layer():
    ours = tiny.model()
    theirs = LlamaForCausalLM(ours.config, attend=F.scaled_dot_product_attention)
    theirs.load_state_dict(ours.state_dict())
    ids = tiny.ids(2, 5)
    torch.testing.assert_close(theirs(ids), ours(ids))
    assert {layer.self_attn.attend for layer in theirs.model.layers} == {
        F.scaled_dot_product_attention
    }


def test_layers_get_a_mask_only_where_there_is_padding():
    masks = []

    def attend(query, key, value, attn_mask=None, **options):
        masks.append(attn_mask)
        return F.scaled_dot_product_attention(query, key, value, attn_mask, **options)

    model, ids = LlamaForCausalLM(tiny.config(), attend), tiny.ids(1, 3)
    model(ids)
    assert masks == [None, None]
    model(ids, torch.tensor([[0, 1, 1]]))
    expected = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 1, 1]]).bool()
    assert torch.equal(masks[2], expected[None, None])
    assert masks[3] is masks[2]


# ---- with a cache


@pytest.mark.parametrize(
    "chunks", [[9], [1] * 9, [6, 1, 1, 1], [4, 5], [2, 3, 4], [1, 8]], ids=str
)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_cached_equals_uncached(chunks, kv_heads, device):
    model = tiny.model(
        torch.float64, num_key_value_heads=kv_heads, num_hidden_layers=3
    ).to(device)
    ids = tiny.ids(2, 9).to(device)
    torch.testing.assert_close(run_in_chunks(model, ids, chunks), model(ids), **EXACT)


def test_room_to_spare_changes_nothing():
    model, ids = tiny.model(), tiny.ids(2, 6)
    assert torch.equal(
        run_in_chunks(model, ids, 3, max_length=50), run_in_chunks(model, ids, 3)
    )


def test_cache_is_advanced_once():
    model, ids = tiny.model(), tiny.ids(2, 5)
    cache = KVCache(model.config, 2, 10)
    model(ids, past_key_values=cache)
    assert cache.length == 5
    model(ids[:, :1], past_key_values=cache)
    assert cache.length == 6


def test_every_layer_writes_to_its_own_place():
    model = tiny.model()
    cache = KVCache(model.config, 1, 3)
    model(tiny.ids(1, 3), past_key_values=cache)
    assert cache.keys.ne(0).all()
    assert not torch.equal(cache.keys[0], cache.keys[1])


def test_two_caches_do_not_mix():
    model, ids = tiny.model(torch.float64), tiny.ids(2, 6)
    caches = [KVCache(model.config, 1, 6, dtype=torch.float64) for _ in range(2)]
    for start in (0, 3):
        parts = [
            model(ids[row : row + 1, start : start + 3], past_key_values=caches[row])
            for row in range(2)
        ]
    torch.testing.assert_close(torch.cat(parts), model(ids)[:, 3:], **EXACT)


# ---- padding


def left_padded(rows):
    """Rows of ids of different length as a batch padded on the left, and its attention_mask."""
    width = max(len(row) for row in rows)
    ids = torch.stack([F.pad(row, (width - len(row), 0), value=7) for row in rows])
    return ids, torch.stack(
        [F.pad(torch.ones_like(row), (width - len(row), 0)) for row in rows]
    )


def test_left_padded_batch_equals_single_prompts(device):
    model = tiny.model(torch.float64).to(device)
    rows = [
        torch.randint(tiny.VOCAB_SIZE, (length,), device=device) for length in (7, 3, 1)
    ]
    ids, mask = left_padded(rows)
    logits = model(ids, mask, position_ids_from_mask(mask))
    assert not logits.isnan().any()
    for row, padded in zip(rows, logits, strict=True):
        torch.testing.assert_close(padded[-len(row) :], model(row[None])[0], **EXACT)


def test_right_padded_batch_equals_single_prompts():
    model, ids = tiny.model(torch.float64), tiny.ids(2, 6)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    torch.testing.assert_close(model(ids, mask)[1, :3], model(ids[1:, :3])[0], **EXACT)


def test_padding_has_no_influence():
    model, ids = tiny.model(), tiny.ids(1, 6)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]])
    changed = torch.cat([(ids[:, :2] + 1) % tiny.VOCAB_SIZE, ids[:, 2:]], dim=1)
    assert torch.equal(model(ids, mask)[:, 2:], model(changed, mask)[:, 2:])
    assert not torch.equal(model(ids)[:, 2:], model(changed)[:, 2:])


def test_mask_of_ones_changes_nothing():
    model, ids = tiny.model(), tiny.ids(2, 5)
    for mask in (
        torch.ones(2, 5, dtype=torch.long),
        torch.ones(2, 5, dtype=torch.bool),
    ):
        assert torch.equal(model(ids, mask), model(ids))


def test_left_padding_through_the_cache():
    model = tiny.model(torch.float64)
    rows = [torch.randint(tiny.VOCAB_SIZE, (length,)) for length in (7, 4)]
    ids, mask = left_padded(rows)
    positions = position_ids_from_mask(mask)
    cache = KVCache(model.config, 2, 7, dtype=torch.float64)
    for start, stop in ((0, 5), (5, 6), (6, 7)):
        logits = model(
            ids[:, start:stop], mask[:, :stop], positions[:, start:stop], cache
        )
    for row, last in zip(rows, logits[:, -1], strict=True):
        torch.testing.assert_close(last, model(row[None])[0, -1], **EXACT)


def test_positions_default_to_those_behind_the_cache():
    model, ids = tiny.model(torch.float64), tiny.ids(2, 6)
    positions = torch.arange(6)[None]
    torch.testing.assert_close(model(ids, position_ids=positions), model(ids), **EXACT)
    cache = KVCache(model.config, 2, 6, dtype=torch.float64)
    model(ids[:, :4], position_ids=positions[:, :4], past_key_values=cache)
    last = model(ids[:, 4:], position_ids=positions[:, 4:], past_key_values=cache)
    torch.testing.assert_close(last, model(ids)[:, 4:], **EXACT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_near(dtype, device):
    model, ids = tiny.model(std=0.2).to(device), tiny.ids(2, 12).to(device)
    expected = model(ids)
    half = model.to(dtype)
    logits = half(ids)
    assert half.dtype == logits.dtype == dtype
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()
    torch.testing.assert_close(
        run_in_chunks(half, ids, [8, 1, 3]),
        logits,
        atol=0.05 * expected.abs().max().item(),
        rtol=0,
    )


def test_model_alone_gives_hidden_states():
    model = tiny.model()
    assert isinstance(model.model, LlamaModel)
    assert model.model(tiny.ids(2, 3)).shape == (2, 3, 16)
    assert model.logits(torch.randn(7, 16)).shape == (7, tiny.VOCAB_SIZE)


def test_autocast_runs_in_the_narrow_dtype():
    model, ids = tiny.model(std=0.2), tiny.ids(2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids)
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - model(ids)).abs().max() < 0.1


def test_meta_model_takes_a_mask():
    with torch.device("meta"):
        model, ids = tiny.model(), torch.zeros(2, 6, dtype=torch.long)
        assert model(ids, torch.ones_like(ids)).shape == (2, 6, tiny.VOCAB_SIZE)
