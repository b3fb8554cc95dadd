import re
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
import tiny
import torch
from torch.utils.flop_counter import FlopCounterMode

import companion
from companion import (
    KVCache,
    LlamaConfig,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
    show,
)
from companion.refusals.model import check_ids
from companion.show import example
from companion.show.ledgers.ledger import Ledger
from companion.show.tables import amount, ratio

SMOLLM2 = LlamaConfig(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
    num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
)  # fmt: skip
LLAMA_70B = LlamaConfig(
    vocab_size=128256, hidden_size=8192, intermediate_size=28672,
    num_hidden_layers=80, num_attention_heads=64, num_key_value_heads=8,
)  # fmt: skip


def carried():
    x = example.tokens()
    return tuple(x @ weight for weight in example.weights())


def on_meta(made, config, *arguments, dtype=torch.float32):
    with torch.device("meta"):
        return made(config, *arguments).to(dtype)


def numbers(ledger: Ledger) -> list[dict]:
    return [*ledger.rows, {"total": ledger.total}]


def step_of(ledger: Ledger, begins: str):
    return next(step for step in ledger.steps if step.source.startswith(begins))


def counted(call) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


def layer_flops(config: LlamaConfig, q_len: int, kv_len: int) -> int:
    """Every weight of a matrix once for each token, and both products of attention."""
    layer = on_meta(LlamaDecoderLayer, config, 0)
    weights = sum(p.numel() for p in layer.parameters() if p.ndim == 2)
    width = config.num_attention_heads * config.head_dim
    return 2 * q_len * weights + 4 * q_len * kv_len * width


class TestLedger:
    def test_lists_what_each_statement_made(self):
        query, key, value = carried()
        ledger = show.ledger(scaled_dot_product_attention, query, key, value, depth=1)
        steps = [
            (step.source, step.depth, step.shape, step.flops) for step in ledger.steps
        ]
        assert ("scores = query @ key.mT", 1, (2, 2), 24) in steps
        assert steps[-1] == ("return weights @ value", 0, (2, 3), 24)
        assert steps[0][0].startswith("weights = attention_weights")

    def test_result_is_the_result_of_the_call(self):
        query, key, value = carried()
        ledger = show.ledger(scaled_dot_product_attention, query, key, value)
        torch.testing.assert_close(
            ledger.result, scaled_dot_product_attention(query, key, value)
        )

    def test_flops_of_a_layer_are_those_of_its_products(self):
        layer = example.decoder_layer()
        ledger = show.ledger(layer, example.tokens()[None])
        tokens, hidden, intermediate = 2, 4, 6
        projections = 2 * tokens * hidden * (4 + 2 + 2 + 4)
        products = 2 * 2 * (2 * tokens * tokens * 2)
        mlp = 3 * 2 * tokens * hidden * intermediate
        assert sum(step.flops for step in ledger.steps) == projections + products + mlp

    def test_axes_get_their_names(self):
        query, key, value = carried()
        ledger = show.ledger(
            scaled_dot_product_attention,
            query,
            key.repeat(2, 1),
            value.repeat(2, 1),
            axes={"q_len": 2, "kv_len": 4, "head_dim": 3},
        )
        assert ledger.steps[0].symbols == "(q_len, kv_len)"
        assert "(q_len, head_dim)" in repr(ledger)
        assert 'aria-label="shape 2 q_len, 3 head_dim"' in ledger._repr_html_()

    def test_names_that_would_be_guesses_are_refused(self):
        with pytest.raises(ValueError, match="one size"):
            show.ledger(scaled_dot_product_attention, *carried(), axes={"a": 2, "b": 2})

    def test_repeated_steps_share_a_row(self):
        config = companion.LlamaConfig(
            vocab_size=8, hidden_size=4, intermediate_size=6, num_hidden_layers=3,
            num_attention_heads=2,
        )  # fmt: skip
        model = companion.LlamaModel(config)
        text = repr(show.ledger(model, torch.tensor([[1, 2, 3]])))
        assert "3 × hidden_states = layer(" in text

    def test_tracing_ends_with_the_call(self):
        before = sys.gettrace()
        with pytest.raises(TypeError):
            show.ledger(scaled_dot_product_attention)
        assert sys.gettrace() is before


class TestBeside:
    def ledgers(self):
        query, key, value = carried()
        ours = show.ledger(scaled_dot_product_attention, query, key, value)
        other = show.ledger(scaled_dot_product_attention, query + 1, key, value)
        return ours, other

    def test_pairs_equal_steps(self):
        ours, _ = self.ledgers()
        table = show.beside(
            ours, ours, [("weights =", "weights ="), ("return", "return")]
        )
        assert [shape for shape, _ in table.rows] == [(2, 2), "", (2, 3), ""]
        assert [code.depth for _, code in table.rows] == [0, 1, 0, 1]

    def test_shows_theirs_below_ours(self):
        ours, _ = self.ledgers()
        theirs = show.ledger(companion.attention_weights, *carried()[:2])
        [(_, mine), (_, its)] = show.beside(ours, theirs, [("weights", "return")]).rows
        assert mine.source.startswith("weights =")
        assert its.source.startswith("return masked_softmax")

    def test_writes_out_a_second_tensor_of_a_statement(self):
        layer = example.decoder_layer()
        steps = show.ledger(layer, example.tokens()[None], depth=1)
        [*_, (shape, ours), (_, theirs)] = show.beside(
            steps, steps, [("query, key = ", "query, key = "), ("… key", "… key")]
        ).rows
        assert shape == (1, 1, 2, 2)
        assert ours.source == theirs.source
        assert ours.source.startswith("query, key = self.rotate(query")
        assert ours.source.endswith("  # key")

    def test_refuses_steps_that_differ(self):
        ours, other = self.ledgers()
        with pytest.raises(ValueError, match="not equal up to"):
            show.beside(ours, other, [("return", "return")])

    def test_refuses_a_step_that_is_not_there(self):
        ours, _ = self.ledgers()
        with pytest.raises(ValueError, match="no step begins with 'scores'"):
            show.beside(ours, ours, [("scores", "return")])


class TestCosts:
    """What the ledger counts against torch's counter, closed forms and the tensors."""

    def test_flops_of_every_step_are_torchs(self):
        config = tiny.config()
        layer = tiny.model().model.layers[0]
        x = torch.randn(2, 5, config.hidden_size)
        ledger = show.ledger(layer, x, depth=1)
        attention, cos_sin = layer.self_attn, layer.rotary_emb(x, torch.arange(5)[None])
        query = torch.randn(2, 4, 5, 4)
        calls = {
            "normed = self.input_layernorm": lambda: layer.input_layernorm(x),
            "attended = self.self_attn": lambda: attention(x, cos_sin),
            "query = split_heads(": lambda: attention.q_proj(x),
            "key = split_heads(": lambda: attention.k_proj(x),
            "value = split_heads(": lambda: attention.v_proj(x),
            "output = self.attend(": lambda: (query @ query.mT) @ query,
            "return self.o_proj(": lambda: attention.o_proj(x),
            "transformed = self.mlp": lambda: layer.mlp(x),
        }
        for begins, call in calls.items():
            assert step_of(ledger, begins).flops == counted(call), begins
        expected = {step_of(ledger, begins).source for begins in calls}
        assert {s.source for s in ledger.steps if s.flops} <= expected
        assert ledger.total.flops == counted(lambda: layer(x))

    @pytest.mark.parametrize(("q_len", "held"), [(5, 0), (3, 4), (1, 8)])
    def test_layer_has_the_flops_of_its_weights_and_scores(self, q_len, held):
        config = tiny.config()
        cache = KVCache(config, 1, 16)
        cache.lengths = [held] * len(cache.lengths)
        ledger = show.ledger(
            tiny.model().model.layers[0],
            torch.randn(1, q_len, 16),
            past_key_values=cache,
        )
        assert ledger.total.flops == layer_flops(config, q_len, held + q_len)

    def test_bytes_of_a_product_are_those_of_its_tensors(self):
        layer = tiny.model(torch.bfloat16).model.layers[0]
        x = torch.randn(2, 5, 16).bfloat16()
        step = step_of(show.ledger(layer, x, depth=1), "query = split_heads(")
        assert step.bytes_read == x.nbytes + layer.self_attn.q_proj.weight.nbytes
        assert step.bytes_written == step.value.nbytes == 2 * 2 * 5 * 16
        moved = step.bytes_read + step.bytes_written
        assert step.intensity == step.flops / moved == 2 * 10 * 16 * 16 / moved

    def test_a_step_costs_what_is_inside_it(self):
        query, key, value = carried()
        mask = causal_mask(2)
        ledger = show.ledger(
            scaled_dot_product_attention, query, key, value, mask, depth=1
        )
        weights, *_ = ledger.steps
        inside = [step for step in ledger.steps if step.depth == 1]
        for name in ("flops", "bytes_read", "bytes_written"):
            assert getattr(weights, name) == sum(getattr(s, name) for s in inside)
        alone = show.ledger(attention_weights, query, key, mask).total
        assert weights.cost == alone

    def test_total_is_that_of_the_call_at_any_depth(self):
        model, ids = tiny.model(), tiny.ids(2, 5)
        totals = [show.ledger(model, ids, depth=depth).total for depth in range(4)]
        assert len(set(totals)) == 1
        assert totals[0].flops == counted(lambda: model(ids))
        query, key, value = carried()
        ledger = show.ledger(scaled_dot_product_attention, query, key, value, depth=1)
        outer = [step for step in ledger.steps if step.depth == 0]
        assert ledger.total.bytes_read == sum(step.bytes_read for step in outer)
        assert ledger.total.bytes_written == sum(step.bytes_written for step in outer)

    def test_carried_attention_by_hand(self):
        query, key, value = carried()
        ledger = show.ledger(scaled_dot_product_attention, query, key, value, depth=1)
        scores, out = 4 * 4, 4 * 6
        assert [
            (step.flops, step.bytes_read, step.bytes_written) for step in ledger.steps
        ] == [
            (24, query.nbytes + key.nbytes + 2 * scores, 3 * scores),
            (24, query.nbytes + key.nbytes, scores),  # query @ key.mT
            (0, scores, scores),  # · scale
            (0, scores, scores),  # softmax
            (24, scores + value.nbytes, out),
        ]

    def test_rows_are_plain_data(self):
        query, key, value = carried()
        ledger = show.ledger(
            scaled_dot_product_attention, query, key, value, axes={"head_dim": 3}
        )
        assert ledger.rows[-1] == {
            "depth": 0,
            "function": "scaled_dot_product_attention",
            "step": "return weights @ value",
            "name": "",
            "shape": (2, 3),
            "axes": "(2, head_dim)",
            "dtype": "float32",
            "flops": 24,
            "bytes_read": 40,
            "bytes_written": 24,
            "intensity": 24 / 64,
        }

    def test_cache_writes_the_new_tokens_and_reads_them_all(self):
        config = tiny.config()
        layer, cache = tiny.model().model.layers[1], KVCache(config, 1, 100)
        cache.lengths = [7] * len(cache.lengths)
        ledger = show.ledger(
            layer, torch.randn(1, 2, 16), past_key_values=cache, depth=2
        )
        token = 4 * config.num_key_value_heads * config.head_dim
        update = step_of(ledger, "key, value = past_key_values.update")
        assert (update.bytes_read, update.bytes_written) == (4 * token, 4 * token)
        written = step_of(ledger, "self.keys[layer_idx")
        assert written.shape == (1, 2, 2, 4)
        assert (written.bytes_read, written.bytes_written) == (2 * token, 2 * token)
        repeated = step_of(ledger, "key, value = repeat_for_query_heads")
        assert repeated.bytes_read == 2 * 9 * token


class TestMeta:
    """On the meta device nothing is computed, and all rows are the same."""

    @pytest.mark.parametrize(("q_len", "held"), [(6, 0), (2, 3), (1, 5)])
    def test_gives_the_rows_of_a_real_run(self, q_len, held):
        config, ledgers = tiny.config(), []
        for where in ("cpu", "meta"):
            model = tiny.model().to(where)
            cache = KVCache(config, 2, 9, device=where)
            cache.lengths = [held] * len(cache.lengths)
            ids = tiny.ids(2, q_len).to(where)
            ledgers.append(show.ledger(model, ids, past_key_values=cache, depth=3))
        real, meta = ledgers
        # the ids are looked at, where there are any
        looked = show.ledger(check_ids, tiny.ids(2, q_len), config.vocab_size).total
        assert 0 < looked.bytes_read < 200
        assert real.total - meta.total == looked
        assert meta.rows[1:] == real.rows[1:]
        assert real.steps[0].cost - meta.steps[0].cost == looked
        unlike = {"bytes_read": 0, "bytes_written": 0, "intensity": 0}
        assert meta.rows[0] | unlike == real.rows[0] | unlike

    def test_layer_of_70b_takes_no_memory_and_no_time(self):
        layer = on_meta(LlamaDecoderLayer, LLAMA_70B, 0, dtype=torch.bfloat16)
        x = torch.empty(1, 4096, 8192, dtype=torch.bfloat16, device="meta")
        start = time.process_time()
        ledger = show.ledger(
            layer, x, depth=1, axes=show.llama_axes(LLAMA_70B, q_len=4096)
        )
        assert time.process_time() - start < 5  # where 9 TFLOPs take minutes
        assert all(step.value.is_meta for step in ledger.steps)
        assert ledger.total.flops == layer_flops(LLAMA_70B, 4096, 4096)
        down = step_of(ledger, "transformed = self.mlp")
        assert down.symbols == "(1, length, hidden)"
        attend = step_of(ledger, "output = self.attend(")
        assert attend.symbols == "(1, heads, length, head_dim)"
        assert attend.flops == 4 * 64 * 4096 * 4096 * 128


@pytest.fixture(scope="module")
def smollm2():
    """Four of the real model's layers, without weights; its cache; two ledgers."""
    config = replace(SMOLLM2, num_hidden_layers=4)
    model = on_meta(LlamaForCausalLM, config)
    cache = KVCache(config, 1, 64, device="meta")
    ids = torch.zeros(1, 32, dtype=torch.long, device="meta")
    run = partial(show.ledger, model, past_key_values=cache, depth=2)
    return model, cache, run(ids), run(ids[:, :1])


class TestSmolLM2:
    def test_decode_reads_the_weights_and_the_cache(self, smollm2):
        model, cache, _, decode = smollm2
        held = cache.nbytes * 33 // 64
        weights = sum(parameter.nbytes for parameter in model.parameters())
        assert 1.0 <= decode.total.bytes_read / (weights + held) < 1.05
        assert decode.total.bytes_written < 0.05 * weights
        assert 0.4 < decode.total.intensity < 0.5

    def test_prefill_reads_them_once_for_all_tokens(self, smollm2):
        model, _, prefill, decode = smollm2
        assert prefill.total.bytes_read < 1.2 * decode.total.bytes_read
        head = 2 * 32 * model.model.embed_tokens.weight.numel()
        assert prefill.total.flops == head + 4 * layer_flops(SMOLLM2, 32, 32)
        assert prefill.total.intensity > 20 * decode.total.intensity

    def test_equal_layers_are_one_row(self, smollm2):
        for ledger, q_len, kv_len in ((smollm2[2], 32, 32), (smollm2[3], 1, 33)):
            each = layer_flops(SMOLLM2, q_len, kv_len)
            text = repr(ledger)
            assert len(re.findall("4 × hidden_states = layer", text)) == 1
            assert f"4 × {each:,}" in text
            assert text.count("self.mlp(normed)") == 1
            assert f"4 × {amount(each)}" in repr(ledger.costs())
            assert len(text.splitlines()) < 40


HERE = __file__.removesuffix("test_ledger.py")


def in_place(x):
    room = torch.zeros(4, 3)
    room[1:3] = x
    total: torch.Tensor = x.sum()
    total += 1
    pair = (room.mT, total)
    room.clamp_(max=2)
    return pair


def loop(x, times):
    for _ in range(times):
        y = x + 1
        x = y * 2
    for end in range(1, 3):
        z = x[:end] + 1
    return z


def fails(x):
    y = x + 1
    y[0] = missing
    return y


def survives(x):
    try:
        x = fails(x)
    except NameError:
        x = x * 3
    return x


class TestStatements:
    def test_writing_in_place_is_a_step(self):
        ledger = show.ledger(in_place, torch.ones(2, 3), package=HERE)
        assert [(step.source, step.shape) for step in ledger.steps] == [
            ("room = torch.zeros(4, 3)", (4, 3)),
            ("room[1:3] = x", (2, 3)),
            ("total: torch.Tensor = x.sum()", ()),
            ("total += 1", ()),
            ("pair = (room.mT, total)", (3, 4)),
            ("… pair[1]", ()),
            ("room.clamp_(max=2)", (4, 3)),
            ("return pair", (3, 4)),
            ("…", ()),
        ]
        assert [step.bytes_written for step in ledger.steps[:3]] == [48, 24, 4]

    def test_looking_at_a_step_costs_nothing(self):
        ledger = show.ledger(in_place, torch.ones(2, 3), package=HERE)
        assert ledger.total.bytes_written == 48 + 24 + 4 + 4 + 48
        assert sum(s.bytes_written for s in ledger.steps) == ledger.total.bytes_written

    def test_a_repeated_run_of_steps_is_shown_once(self):
        ledger = show.ledger(loop, torch.ones(5), 4, package=HERE)
        assert len(ledger.rows) == 4 * 2 + 2 + 1
        assert [str(code) for code, *_ in ledger.table().rows] == [
            "4 × y = x + 1",
            "4 × x = y * 2",
            "z = x[:end] + 1",
            "z = x[:end] + 1",
            "return z",
        ]

    def test_a_statement_that_fails_makes_nothing(self):
        ledger = show.ledger(survives, torch.ones(2), depth=1, package=HERE)
        assert [step.source for step in ledger.steps] == [
            "y = x + 1",
            "x = x * 3",
            "return x",
        ]
        with pytest.raises(NameError, match="missing"):
            show.ledger(fails, torch.ones(2), package=HERE)

    def test_attention_handed_in_is_followed(self):
        layer = LlamaDecoderLayer(tiny.config(), 0, scaled_dot_product_attention)
        ledger = show.ledger(layer, torch.randn(1, 3, 16), depth=2)
        functions = {step.function for step in ledger.steps}
        assert "scaled_dot_product_attention" in functions


class TestTables:
    def test_costs_have_units_and_a_last_row_for_the_call(self):
        layer = on_meta(LlamaDecoderLayer, SMOLLM2, 0)
        x = torch.empty(1, 5, 576, device="meta")
        ledger = show.ledger(layer, x, axes={"hidden": 576})
        table = ledger.costs()
        assert table.head == ["step", "shape", "FLOPs", "read", "written", "FLOPs/byte"]
        [mlp] = [row for row in table.rows if "self.mlp" in str(row[0])]
        step = step_of(ledger, "transformed = self.mlp")
        assert mlp[2:] == ["26.5 M", "10.8 MB", "134 kB", ratio(step.intensity)]
        total = ledger.total
        assert table.rows[-1] == [
            "whole call", "", amount(total.flops), amount(total.bytes_read, "B"),
            amount(total.bytes_written, "B"), ratio(total.intensity),
        ]  # fmt: skip
        drawn = table._repr_html_()
        assert '<td data-label="read" class="number">10.8 MB</td>' in drawn
        assert 'aria-label="shape 1, 5, 576 hidden" data-sizes="(1, 5, 576)"' in drawn
        assert '>(1, 5, <span class="axis" data-axis="m"' in drawn
        assert 'class="companion-ledger companion-cards"' in drawn
        assert "(1, 5, 576)  (1, 5, hidden)" in repr(table)

    def test_table_is_compact(self):
        ledger = show.ledger(scaled_dot_product_attention, *carried())
        assert repr(ledger).splitlines()[0].split() == ["step", "shape", "FLOPs"]
        assert ledger._repr_html_() == ledger.table()._repr_html_()

    def test_dtype_is_a_column_where_it_changes(self):
        x = torch.randn(2, 4)
        norm = companion.LlamaRMSNorm(4)
        assert "dtype" not in show.ledger(norm, x, depth=1).table().head
        ledger = show.ledger(norm.bfloat16(), x.bfloat16(), depth=1)
        assert [row[2] for row in ledger.table().rows] == [
            "bfloat16", "float32", "float32", "bfloat16",
        ]  # fmt: skip
        assert len(ledger.costs().rows[-1]) == len(ledger.costs().head)

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0, "0 B"), (48, "48 B"), (9999, "9,999 B"), (10_000, "10.0 kB"),
            (99_951, "100 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
            (1_783_296, "1.78 MB"), (268_435_456, "268 MB"), (10**13, "10.0 TB"),
        ],
    )  # fmt: skip
    def test_amounts_have_three_digits(self, number, text):
        assert amount(number, "B") == text
        assert amount(number) == text.replace("B", "").strip()

    def test_ratios_have_about_three_digits(self):
        texts = [ratio(x) for x in (0.0, 0.375, 4.754, 49.04, 177.3, 1365.2)]
        assert texts == ["", "0.38", "4.75", "49.0", "177", "1,365"]


class TestLlamaAxes:
    def test_names_what_a_call_of_the_model_has(self):
        assert show.llama_axes(SMOLLM2, q_len=1, kv_len=6, batch=2) == {
            "batch": 2, "kv_len": 6, "hidden": 576, "heads": 9, "kv_heads": 3,
            "head_dim": 64, "intermediate": 1536, "vocab": 49152,
        }  # fmt: skip

    def test_prefill_has_one_length(self):
        axes = show.llama_axes(LLAMA_70B, q_len=4096)
        assert axes["length"] == 4096
        assert "q_len" not in axes
        assert "batch" not in axes

    def test_equal_sizes_are_not_named(self):
        axes = show.llama_axes(SMOLLM2, q_len=9, kv_len=64)
        assert not {"q_len", "heads", "kv_len", "head_dim"} & set(axes)
        assert axes["kv_heads"] == 3

    def test_heads_that_are_not_grouped_have_one_name(self):
        axes = show.llama_axes(tiny.config(num_key_value_heads=4), q_len=5)
        assert "kv_heads" not in axes
        assert "heads" not in axes  # head_dim is 4 too

    def test_sizes_that_are_none_are_refused(self):
        with pytest.raises(ValueError, match="q_len is 0: it must be at least 1"):
            show.llama_axes(SMOLLM2, q_len=0)
        with pytest.raises(ValueError, match="kv_len is -1"):
            show.llama_axes(SMOLLM2, q_len=1, kv_len=-1)
