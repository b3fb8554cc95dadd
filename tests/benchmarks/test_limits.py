"""What a form cannot exceed, and the goals that are shares of it, on planted figures."""

import gguf
import gguf_copies
import hugging_face
import limits
import ours
import pytest
import tiny
import tiny_files
import torch
from goals import judge, judged_batch, judged_quality, judged_share, text
from harness import Sentinel
from phases import PHASES, phases, work

from companion import fast
from companion.generate import decode


def matrices(model):
    """Numbers of the matrices in a model's layers."""
    return sum(x.numel() for x in model.model.layers.parameters() if x.ndim == 2)


@pytest.mark.parametrize("tied", [True, False])
def test_a_looked_up_row_is_no_matrix_that_is_read(tied):
    model = tiny.model(tie_word_embeddings=tied)
    table = model.model.embed_tokens.weight
    vectors = sum(x.numel() for x in model.parameters() if x.ndim == 1)
    expected = 4 * (matrices(model) + table.numel() + vectors)
    assert limits.weight_bytes(model) == expected
    assert limits.weight_bytes(model.bfloat16()) == expected // 2


def test_quantized_weights_count_as_they_are_stored():
    model = tiny.model(tie_word_embeddings=True)
    small = fast.int8(model)
    rows = sum(x.shape[0] for x in model.parameters() if x.ndim == 2)
    vectors = sum(x.numel() for x in model.parameters() if x.ndim == 1)
    numbers = sum(x.numel() for x in model.parameters() if x.ndim == 2)
    assert limits.weight_bytes(small) == numbers + 4 * rows + 4 * vectors


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_of_llama_cpp_counts_its_head_once(tmp_path, tied):
    model = tiny.model(hidden_size=32, intermediate_size=64, tie_word_embeddings=tied)
    kind = gguf.GGMLQuantizationType.F32
    path = tiny_files.write_gguf(
        tmp_path / "a.gguf", model.config, model.state_dict(), quantization=kind
    )
    assert gguf_copies.weight_bytes(path) == limits.weight_bytes(model)


def test_the_flops_of_a_prefill_are_those_of_its_products():
    model, tokens = tiny.model(), 6
    config = model.config
    head = config.vocab_size * config.hidden_size
    heads = config.num_hidden_layers * config.num_attention_heads
    pairs = tokens * tokens / 2
    expected = 2 * matrices(model) * tokens + 2 * head
    expected += 4 * heads * config.head_dim * pairs
    assert limits.prefill_flops(config, tokens) == expected


def test_a_step_reads_its_weights_and_half_of_the_new_tokens():
    config = tiny.model().config
    weights = {"companion plain": (1000, 2), "llama.cpp F32": (3000, 4)}
    place = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    found = work(PHASES["decode"], config, weights)
    assert found == {
        "bytes": {
            "companion plain": 1000 + 64 * place * 2,
            "llama.cpp F32": 3000 + 64 * place * 4,
        }
    }
    eight = work(PHASES["decode_batch_8"], config, weights)["bytes"]
    assert eight["companion plain"] == 1000 + 8 * 64 * place * 2
    flops = limits.prefill_flops(config, 512)
    assert work(PHASES["prefill_512"], config, weights) == {"flops": flops}


def test_the_limits_are_the_best_of_what_was_measured():
    low, high = {"read": 1.0, "products": 9.0}, {"read": 3.0, "products": 5.0}
    assert limits.highest(low, high) == {"read": 3.0, "products": 9.0}


def test_the_faster_way_of_reading_counts(monkeypatch):
    taken = {"sum": 4.0, "matrix times vector": 2.0}
    monkeypatch.setattr(limits, "SIDE", 8)
    monkeypatch.setattr(limits, "best", lambda name, *rest: taken[name])
    assert limits.reading("cpu", Sentinel(lambda: None, looks=1)) == limits.LARGE / 2


def test_products_of_16_bits_may_be_float32_s(monkeypatch):
    rates = {"bfloat16": 5.0, "float32": 9.0}
    monkeypatch.setattr(limits, "reading", lambda *rest: 1.0)
    monkeypatch.setattr(limits, "peak", lambda dtype, *rest: rates[dtype])
    found = limits.limits("bfloat16", Sentinel(lambda: None, looks=1))
    assert found == {"bytes_per_second": 1.0, "flops_per_second": 9.0}


def test_phases_count_their_tokens():
    counts = {name: phase.count for name, phase in PHASES.items()}
    assert counts == {
        "decode": 64,
        "decode_batch_8": 512,
        "prefill_512": 512,
        "prefill_2048": 2048,
    }
    assert PHASES["decode"].wait() == {"steps": 64, "wait": "time between tokens"}
    assert PHASES["prefill_512"].wait() == {"steps": 1, "wait": "time to first token"}
    assert set(PHASES) - set(phases("quantized")) == {"prefill_2048"}


def test_eight_sequences_are_written_step_by_step_by_each_form():
    model, ids = tiny.model(), [5, 6, 7]
    alone = ours.writer(model)(ids, 4).tokens
    assert len(alone) == 4
    expected = [token for token in alone for _ in range(8)]
    step = fast.compile_decode(model, backend="aot_eager")
    for write in (
        ours.writer(model, decode, 8),
        ours.writer(model, step, 8),
        hugging_face.writer(model, "sdpa", 8),
    ):
        run = write(ids, 4)
        assert run.tokens == expected
        assert run.prefill > 0
        assert run.decode > 0


# ---- goals

LIMITS = {"bytes_per_second": 100.0, "flops_per_second": 1000.0}
DECODE = {
    "count": 10,
    "steps": 10,
    "bytes": {"companion slow": 50, "companion fast": 45, "llama.cpp F32": 50},
    "seconds": {
        "companion slow": [9.0, 9.0],
        "companion fast": [5.0, 6.0],
        "llama.cpp F32": [1.0, 1.0],
    },
}


def test_a_share_of_reading_is_that_of_our_fastest_form():
    raw = {"limits": LIMITS, "decode": DECODE}
    line = judged_share("decode", "float32", 0.85, raw)
    # 45 bytes a step at 100 a second are 4.5 s for ten steps, of 5 and of 6
    assert line["ratio"] == {"median": 0.825, "min": 0.75, "max": 0.9}
    assert (line["ours"], line["reached"]) == ("companion fast", False)
    assert "goal 0.85   MISSED" in text(line)
    assert "0.82  (0.75-0.90), companion fast of bytes per second" in text(line)
    assert judged_share("decode", "float32", 0.82, raw)["reached"]


def test_a_share_of_multiplying_is_in_flops():
    case = {"count": 4, "steps": 1, "flops": 1500, "seconds": {"companion a": [2.0]}}
    raw = {"limits": LIMITS, "prefill_512": case}
    line = judged_share("prefill_512", "bfloat16", 0.75, raw)
    assert (line["ratio"]["median"], line["reached"]) == (0.75, True)
    assert line["theirs"] == "flops per second"
    case["seconds"]["companion a"] = [2.1]
    assert not judged_share("prefill_512", "bfloat16", 0.75, raw)["reached"]


def test_a_file_of_old_days_has_no_shares():
    old = {key: DECODE[key] for key in ("count", "seconds")}
    for raw in (None, {}, {"decode": old}, {"decode": old, "limits": LIMITS}):
        line = judged_share("decode", "float32", 0.85, raw)
        assert line["reached"] is None
        assert "not measured" in text(line)
        assert judged_batch(4.0, raw)["reached"] is None
        assert judged_quality("companion int8 compiled", "x", raw)["reached"] is None


@pytest.mark.parametrize(("perplexity", "reached"), [(25.5, True), (25.501, False)])
def test_quality_is_perplexity_and_its_rounding_does_not_count(perplexity, reached):
    ours_, theirs = "companion int8 compiled", "llama.cpp Q8_0"
    found = {ours_: {"perplexity": perplexity}, theirs: {"perplexity": 25.5}}
    line = judged_quality(ours_, theirs, {"quality": found})
    assert (line["ratio"]["median"], line["reached"]) == (1.0, reached)
    assert line["name"] == "perplexity int8"


@pytest.mark.parametrize(("seconds", "reached"), [(4.0, True), (4.1, False)])
def test_eight_sequences_are_compared_in_tokens_per_second(seconds, reached):
    form = "companion compiled"
    raw = {
        "decode": {"count": 64, "seconds": {form: [2.0, 2.0, 9.0]}},
        "decode_batch_8": {"count": 512, "seconds": {form: [seconds] * 2}},
    }
    line = judged_batch(4.0, raw)
    assert line["ratio"]["median"] == pytest.approx(16 / seconds, abs=1e-3)
    assert line["reached"] is reached


def test_every_goal_of_a_whole_file_is_judged():
    forms = ("companion plain", "companion compiled", "hugging face sdpa")
    case = {
        "count": 1,
        "steps": 1,
        "bytes": dict.fromkeys(forms, 1),
        "seconds": {**{form: [1.0] for form in forms}, "llama.cpp F32": [1.0]},
    }
    raw = {name: dict(case) for name in PHASES} | {"limits": LIMITS}
    for name in ("prefill_512", "prefill_2048"):
        del raw[name]["bytes"]
        raw[name]["flops"] = 900
    lines = judge(lambda name: raw if name == "generation-float32" else None)
    found = {
        (x["name"], x["at_least"]): x["reached"] for x in lines if x["file"] != "gpu"
    }
    assert {key: x for key, x in found.items() if x is not None} == {
        ("decode float32", 1.0): True,
        ("prefill 512 float32", 1.15): False,
        ("prefill 2048 float32", 1.15): False,
        ("decode float32, plain", 1.0): True,
        ("prefill 512 float32, plain", 1.0): True,
        ("decode float32, share", 0.85): False,
        ("prefill 512 float32, share", 0.75): True,
        ("prefill 2048 float32, share", 0.75): True,
    }


def test_a_phase_is_kept_with_what_it_takes(monkeypatch):
    import generation

    model = tiny.model()
    step = fast.compile_decode(model, backend="aot_eager")
    forms = {"companion plain": (model, decode), "companion compiled": (model, step)}
    names = ("companion plain", "companion compiled", "hugging face sdpa")
    theirs = {names[2]: hugging_face.writer(model, "sdpa", 8)}
    monkeypatch.setattr(generation, "load", lambda **options: (model, None))
    monkeypatch.setattr(generation, "prompt", lambda: [5] * 64)
    monkeypatch.setattr(generation, "others", lambda *rest: theirs)
    monkeypatch.setattr(generation, "limits", lambda *rest: LIMITS)
    eight = {"decode_batch_8": PHASES["decode_batch_8"]}
    monkeypatch.setattr(generation, "phases", lambda family: eight)
    sentinel = Sentinel(lambda: None, looks=1)
    options = {"rounds": 1, "retries": 0, "sentinel": sentinel}
    raw = generation.measured("float32", forms, {}, **options)
    case = raw["decode_batch_8"]
    assert raw["limits"] == LIMITS
    assert tuple(case["seconds"]) == tuple(case["bytes"]) == names
    assert all(len(seconds) == 1 for seconds in case["seconds"].values())
    assert case["count"] == 512
    tokens = case["tokens"]["companion compiled"]
    assert tokens == case["tokens"]["hugging face sdpa"]
    assert len(tokens) == 65 * 8


def test_logits_at_once_are_those_step_by_step():
    import generation

    model = tiny.model()
    ids = torch.randint(0, 32, (40,), generator=torch.manual_seed(0)).tolist()
    found = generation.at_once(model, ids)
    torch.testing.assert_close(found, ours.logits(model, ids), atol=1e-4, rtol=0)
