"""What a rank holds, by cutting for each rank in this process, where nothing is sent."""

import sys

import pytest
import tiny
import tiny_files
import torch
from torch.distributed.tensor import DTensor

from companion import KVCache, generate, load
from companion.fast import int8, packed
from companion.parallel import load_share, split_attention, split_layer, split_model
from companion.parallel.examples import held
from companion.parallel.wire import collectives


def local(model):
    """The weights in this process, by name."""
    return {
        name: x.to_local() if isinstance(x, DTensor) else x
        for name, x in model.named_parameters()
    }


def three_heads(**changes):
    """A model that three ranks divide, whatever tokenizer it is given."""
    return tiny.model(
        hidden_size=18, num_attention_heads=3, num_key_value_heads=3, **changes
    )


@pytest.mark.parametrize("rank", range(3))
def test_rows_and_columns_of_a_rank(fake, rank):
    model = three_heads(attention_bias=True)
    layer = model.model.layers[0].self_attn
    with fake(rank, 3) as mesh:
        mine = local(split_model(model, mesh))
    at, heads = "model.layers.0.self_attn", slice(6 * rank, 6 * rank + 6)
    words = slice(87 * rank, 87 * rank + 87)
    for name in ("q_proj", "k_proj", "v_proj"):
        whole = layer.get_submodule(name)
        assert torch.equal(mine[f"{at}.{name}.weight"], whole.weight[heads])
        assert torch.equal(mine[f"{at}.{name}.bias"], whole.bias[heads])
    assert torch.equal(mine[f"{at}.o_proj.weight"], layer.o_proj.weight[:, heads])
    bias = layer.o_proj.bias if rank == 0 else torch.zeros(18)
    assert torch.equal(mine[f"{at}.o_proj.bias"], bias)
    assert torch.equal(mine["lm_head.weight"], model.lm_head.weight[words])
    table = model.model.embed_tokens.weight
    assert torch.equal(mine["model.embed_tokens.weight"], table[words])


def test_a_tied_head_has_the_share_of_the_embedding(fake):
    model = three_heads(tie_word_embeddings=True)
    with fake(1, 3) as mesh:
        rank = split_model(model, mesh)
        assert rank.lm_head.weight is rank.model.embed_tokens.weight
        assert held(rank) < 0.4 * held(model)


def test_the_model_itself_stays_whole(fake):
    model = three_heads()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with fake(0, 3) as mesh:
        rank = split_model(model, mesh)
        norm, own = model.model.norm.weight, rank.model.norm.weight
        assert own.data_ptr() == norm.data_ptr()
    assert (model.config.num_attention_heads, rank.config.num_attention_heads) == (3, 1)
    assert model.model.layers[0].self_attn.num_kv_heads == 3
    assert all(torch.equal(before[name], x) for name, x in model.state_dict().items())


@pytest.mark.parametrize("tied", [False, True])
def test_a_converted_share_leaves_the_model_as_it_was(fake, tied):
    model = tiny.model(vocab_size=264, tie_word_embeddings=tied)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with fake(0, 2) as mesh:
        split_model(model, mesh).bfloat16().requires_grad_(True)
    for name, x in model.state_dict(keep_vars=True).items():
        assert x.dtype == torch.float32
        assert not x.requires_grad
        assert torch.equal(x, before[name])


def test_the_cache_of_a_rank_has_its_kv_heads(fake):
    model = tiny.model(vocab_size=264)
    with fake(0, 2) as mesh:
        config = split_model(model, mesh).config
    assert KVCache(config, 1, 8).nbytes == KVCache(model.config, 1, 8).nbytes // 2
    assert config.vocab_size == 264


@pytest.mark.parametrize("rank", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_loaded_share_is_the_share_of_the_loaded(tmp_path, fake, rank, dtype, tied):
    model = three_heads(attention_bias=True, tie_word_embeddings=tied)
    files = [
        tiny_files.write_gguf(tmp_path / "x.gguf", model.config, model.state_dict()),
        tiny_files.write_directory(tmp_path, model),
    ]
    for path in files:
        with fake(rank, 3) as mesh:
            cut = split_model(load(path, dtype, "cpu")[0], mesh)
            read, tokenizer = load_share(path, mesh, dtype)
            assert read.config == cut.config
            assert held(read) == held(cut)
            expected = local(cut)
            assert local(read).keys() == expected.keys()
            for name, x in local(read).items():
                assert torch.equal(x, expected[name]), name
        assert (tokenizer is None) == path.is_dir()


def test_one_rank_is_the_model(alone):
    model, ids = tiny.model(), tiny.ids(2, 7)
    rank = split_model(model, alone)
    with torch.inference_mode():
        assert torch.equal(rank(ids), model(ids))
    assert torch.equal(generate(rank, ids, 8), generate(model, ids, 8))
    assert collectives(rank, ids) == []


def test_loaded_without_a_stderr(tmp_path, alone, monkeypatch):
    """Which a service may lack, and a bar would be written to."""
    model = tiny.model()
    path = tiny_files.write_directory(tmp_path, model)
    monkeypatch.setattr(sys, "stderr", None)
    read, _ = load_share(path, alone)
    for name, weight in local(read).items():
        assert torch.equal(weight, model.get_parameter(name)), name


@pytest.mark.parametrize(
    ("changes", "ranks", "message"),
    [
        (
            {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 36},
            2,
            "has 9 heads, 3 KV heads and 261 rows .* use 1 or 3 .--nproc-per-node",
        ),
        ({"num_key_value_heads": 1, "vocab_size": 264}, 2, "has 1 KV head, which 2"),
        ({"intermediate_size": 25, "vocab_size": 264}, 2, "25 intermediate features,"),
        (
            {"vocab_size": 263},
            2,
            "has 263 rows of the vocabulary, which 2 ranks do not",
        ),
    ],
)
def test_ranks_that_do_not_divide_the_model(fake, changes, ranks, message):
    model = tiny.model(**changes)
    with fake(0, ranks) as mesh, pytest.raises(ValueError, match=message):
        split_model(model, mesh)


def test_says_which_numbers_of_ranks_divide_the_model(fake):
    model = tiny.model(
        hidden_size=32,
        num_attention_heads=8,
        num_key_value_heads=4,
        vocab_size=264,
    )
    with fake(0, 3) as mesh, pytest.raises(ValueError, match="use 1, 2 or 4 ") as told:
        split_layer(model.model.layers[0], mesh)
    assert "8 heads and 4 KV heads, which 3 ranks do not divide" in str(told.value)
    with fake(0, 3) as mesh, pytest.raises(ValueError, match="use 1, 2 or 4 "):
        split_attention(model.model.layers[0].self_attn, mesh)


@pytest.mark.parametrize(
    ("form", "name"), [(packed, "PackedLinear"), (int8, "Int8Linear")]
)
def test_packed_and_quantized_models(fake, form, name):
    model = form(tiny.model(vocab_size=264))
    with fake(0, 2) as mesh, pytest.raises(ValueError, match=f"q_proj is a {name}"):
        split_model(model, mesh)


def test_a_model_that_is_split_already(fake):
    with fake(0, 2) as mesh:
        rank = split_model(tiny.model(num_key_value_heads=4, vocab_size=264), mesh)
        with pytest.raises(ValueError, match=r"embed_tokens is split over 2 ranks"):
            split_model(rank, mesh)
