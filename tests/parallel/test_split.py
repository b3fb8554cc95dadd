"""Two ranks against one process: the running example, a decoder layer, whole models."""

from itertools import product

import pytest
import tiny
import torch

from companion import LlamaDecoderLayer, generate, split_heads
from companion.parallel import predicted, run, share
from companion.parallel.examples import (
    attention_parts,
    each,
    generated,
    layer_parts,
    step,
)
from companion.show import example

RANKS = 2
OPTIONS = [
    {"attention_bias": bias, "mlp_bias": bias, "tie_word_embeddings": tied}
    for bias, tied in product((False, True), repeat=2)
]


def random_layer():
    """Four query heads, two KV heads, with biases."""
    torch.manual_seed(0)
    config = tiny.config(attention_bias=True, mlp_bias=True)
    layer = LlamaDecoderLayer(config, 0).requires_grad_(False).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


def models():
    torch.manual_seed(0)
    return [tiny.model(vocab_size=264, **options) for options in OPTIONS]


def prompts():
    torch.manual_seed(0)
    return tiny.ids(2, 9, 264)


def states():
    torch.manual_seed(0)
    return torch.randn(2, 7, 16)


@pytest.fixture(scope="module")
def ranks():
    """Everything below, run once: for each call what rank 0 and rank 1 give."""
    calls = [
        (attention_parts, (example.attention(), example.tokens())),
        (layer_parts, (random_layer(), states())),
        (step, (models()[0].bfloat16(), prompts())),
        *((step, (model, prompts())) for model in models()),
        *((generated, (model, prompts(), 12)) for model in models()),
    ]
    return list(zip(*run(each, RANKS, calls), strict=True))


def test_each_rank_has_one_head_of_the_carried_example(ranks):
    for rank, parts in enumerate(ranks[0]):
        weights = (example.weights(), example.second_head())[rank]
        for name, weight in zip("qkv", weights, strict=True):
            assert torch.equal(parts[f"{name}_proj"], example.tokens() @ weight)


def test_the_carried_partial_sums_are_heads_times_rows_of_w_o(ranks):
    for rank, parts in enumerate(ranks[0]):
        query, key, value = (parts[f"{name}_proj"] for name in "qkv")
        head = (query @ key.mT / 3**0.5).softmax(-1) @ value
        rows = example.output_weight()[3 * rank : 3 * rank + 3]
        torch.testing.assert_close(parts["o_proj"], head @ rows)


def test_the_carried_partial_sums_add_up_to_the_whole(ranks):
    first, second = ranks[0]
    assert torch.equal(first["output"], first["o_proj"] + second["o_proj"])
    assert torch.equal(first["output"], second["output"])
    torch.testing.assert_close(first["output"], example.attention()(example.tokens()))


def test_a_rank_has_neighboring_heads_and_the_kv_head_that_serves_them(ranks):
    attention = random_layer().self_attn
    normed = random_layer().input_layernorm(states())
    for name in "qkv":
        whole = getattr(attention, f"{name}_proj")(normed)
        heads = split_heads(whole, attention.num_heads if name == "q" else 2)
        for rank, mine in enumerate(heads.chunk(RANKS, dim=1)):
            part = ranks[1][rank][f"self_attn.{name}_proj"]
            torch.testing.assert_close(split_heads(part, mine.shape[1]), mine)


@pytest.mark.parametrize("name", ["self_attn.o_proj", "mlp.down_proj"])
def test_partial_sums_of_a_layer_add_up(ranks, name):
    whole, layer = {}, random_layer()
    layer.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: whole.update(output=output)
    )
    layer(states())
    first, second = (parts[name] for parts in ranks[1])
    torch.testing.assert_close(first + second, whole["output"], atol=1e-5, rtol=0)
    assert (first - second).abs().max() > 0.1


def test_a_layer_of_two_ranks_is_the_layer(ranks):
    for parts in ranks[1]:
        whole = random_layer()(states())
        torch.testing.assert_close(parts["output"], whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", range(len(OPTIONS)), ids=map(str, OPTIONS))
class TestModel:
    def test_logits_are_those_of_one_process(self, ranks, case):
        logits = models()[case](prompts())[:, -1]
        for rank in ranks[3 + case]:
            torch.testing.assert_close(rank["logits"], logits, atol=1e-5, rtol=0)

    def test_greedy_tokens_are_those_of_one_process(self, ranks, case):
        whole = generate(models()[case], prompts(), 12)
        assert len(whole[:, 9:].unique()) > 3
        for ids in ranks[7 + case]:
            assert torch.equal(ids, whole)

    def test_the_cache_holds_the_kv_heads_of_the_rank(self, ranks, case):
        for rank in ranks[3 + case]:
            assert rank["cache_shape"] == (2, 2, 1, 9, 4)

    def test_what_a_rank_holds_is_its_predicted_share(self, ranks, case):
        model = models()[case]
        bill = share(model.config, RANKS, 2, 9, torch.float32, max_length=9)
        whole = sum(x.nbytes for x in model.parameters())
        assert 0.5 < bill.weights / whole < 0.53
        for rank in ranks[3 + case]:
            assert (rank["weights"], rank["cache"]) == (bill.weights, bill.cache)

    def test_what_crosses_the_wire_is_what_was_predicted(self, ranks, case):
        expected = predicted(models()[case].config, RANKS, 2, 9, torch.float32)
        for rank in ranks[3 + case]:
            assert rank["collectives"] == expected

    def test_the_profiler_sees_the_same(self, ranks, case):
        for rank in ranks[3 + case]:
            assert rank["profiled"] == [
                (each.operation, each.shape, each.nbytes)
                for each in rank["collectives"]
            ]


def test_bfloat16_is_as_near_to_float32_as_one_process_is(ranks):
    exact = models()[0](prompts())[:, -1]
    naive = models()[0].bfloat16()(prompts())[:, -1]
    limit = 2 * (naive - exact).abs().max()
    for rank in ranks[2]:
        assert rank["logits"].dtype == torch.bfloat16
        assert (rank["logits"] - exact).abs().max() <= limit


def test_bfloat16_halves_what_crosses_the_wire(ranks):
    expected = predicted(models()[0].config, RANKS, 2, 9, torch.bfloat16)
    for rank in ranks[2]:
        assert rank["collectives"] == expected
        assert [x[2] for x in rank["profiled"]] == [x.nbytes for x in expected]
