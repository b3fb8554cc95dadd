"""The film of the KV cache counts what the package's cache and model count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from companion import KVCache, LlamaConfig, LlamaModel, generate, show
from companion.exercises.graders.costs import TIED as SMOLLM2
from companion.show import example
from companion.show.interactive.cached_calls import ROOM, run

# layers, hidden, query heads, KV heads, and a head_dim that is not hidden / heads
SMALL = [(1, 8, 4, 4, None), (2, 12, 6, 2, None), (3, 16, 2, 1, 10)]
RUNS = [
    (prompt, chunk, decodes)
    for prompt in range(1, ROOM + 1)
    for chunk in (*range(1, prompt + 1, 2), prompt + 1, 99)
    for decodes in range(0, ROOM + 1 - prompt, 3)
]


@pytest.fixture(scope="module")
def made():
    return show.cache_film(SMOLLM2, "The cache.")


@pytest.fixture
def film(open_figure, made):
    return open_figure(made)


def config(layers, hidden, heads, kv_heads, head_dim) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=8,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
    )


def computed(film, prompt, chunk, decodes):
    state = {"prompt": prompt, "chunk": chunk, "decodes": decodes}
    compute = "(figure, state) => figure.constructor.compute(state, figure.trace)"
    return film.evaluate(compute, state)


def test_as_the_packages_cache_counts(film):
    for each in RUNS:
        ours, theirs = computed(film, *each), run(*each)
        assert [call["positions"] for call in ours] == [c.positions for c in theirs]
        assert [call["length"] for call in ours] == [call.length for call in theirs]
        assert [tuple(call["scores"]) for call in ours] == [
            c.used.shape for c in theirs
        ]


@pytest.mark.parametrize("keep", [True, False], ids=["cached", "uncached"])
def test_each_score_is_where_the_packages_attention_had_it(film, keep):
    fates = """(figure, [calls, step, keeps]) => Array.from({length: 12}, (_, i) =>
        Array.from({length: 12}, (_, j) => figure.constructor.fate(calls, step, i, j, keeps)))"""
    for each in RUNS[::7]:
        calls = computed(film, *each)
        recorded = run(*each, keep=keep)
        for step in range(len(calls) + 1):
            ours = film.evaluate(fates, [calls, step, keep])
            assert ours == expected(recorded[:step], keep), (each, step)


def expected(calls, keep):
    """What the calls until now have made of each score; without a cache the last alone."""
    cells = [[""] * ROOM for _ in range(ROOM)]
    for call in calls if keep else calls[-1:]:
        word = "now" if call is calls[-1] else "done"
        for position, row in zip(call.positions, call.used.tolist(), strict=True):
            rest = ["never" if word == "done" else ""] * (ROOM - len(row))
            cells[position] = [word if seen else "masked" for seen in row] + rest
    return cells


@pytest.mark.parametrize("sizes", SMALL, ids=str)
def test_bytes_and_flops_are_the_models(open_figure, sizes):
    film = open_figure(show.cache_film(config(*sizes), "The cache."))
    with torch.device("meta"):
        model = LlamaModel(config(*sizes))
    for each in RUNS[::29]:
        cache, total, without = KVCache(config(*sizes), 1, ROOM, device="meta"), 0, 0
        for call in computed(film, *each):
            q_len, kv_len = call["scores"]
            total += counted(model, q_len, past_key_values=cache)
            without += counted(model, kv_len)
            assert (call["total"], call["totalWithout"]) == (total, without)
            held = (
                cache.keys[..., : cache.length, :],
                cache.values[..., : cache.length, :],
            )
            assert call["bytes"] == sum(x.numel() * x.itemsize for x in held)
    assert film.evaluate("figure => figure.trace.nbytes") == cache.nbytes


def counted(model, length, **keywords):
    ids = torch.zeros(1, length, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(ids, **keywords)
    return counter.get_total_flops()


def fills(film, label, typed):
    film.page.get_by_label(label, exact=True).fill(typed)


def overfull(length, more):
    cache = KVCache(example.layer_config(), 1, ROOM)
    cache.update(*torch.zeros(2, 1, 1, length, 2), 0)
    cache.update(*torch.zeros(2, 1, 1, more, 2), 0)


IDS = torch.arange(6)[None]
REFUSED = [
    ("prompt tokens", "0", lambda: generate(example.model(), IDS[:, :0], 1)),
    ("prompt tokens", "-3", lambda: torch.empty(1, -3)),
    ("prompt tokens", "13", lambda: overfull(12, 1)),
    ("prompt tokens", "10000", lambda: overfull(12, 4)),
    ("prompt tokens", "10", lambda: overfull(12, 1)),
    ("chunk size", "0", lambda: IDS.split(0, dim=1)),
    ("chunk size", "-1", lambda: IDS.split(-1, dim=1)),
    ("decode calls", "-1", lambda: torch.empty(1, -1)),
    ("decode calls", "7", lambda: overfull(12, 1)),
    ("decode calls", "9007199254740991", lambda: overfull(12, 1)),
    ("decode calls", "two", lambda: int("two")),
    ("chunk size", "", lambda: int("")),
    ("chunk size", "1.5", lambda: int("1.5")),
    ("chunk size", "<b>1</b>", lambda: int("<b>1</b>")),
]


@pytest.mark.parametrize(("label", "typed", "call"), REFUSED)
def test_refused_in_the_words_of_torch_and_the_package(film, label, typed, call):
    before = film.evaluate("figure => figure.state")
    fills(film, label, typed)
    with pytest.raises((ValueError, RuntimeError)) as error:
        call()
    assert film.refused
    assert str(error.value).splitlines()[0] in film.readout
    assert film.evaluate("figure => figure.state") == before
    fills(film, label, "2")
    assert not film.refused
    assert not film.complaints


def test_a_number_of_ten_thousand_digits_is_refused_in_short(film):
    fills(film, "chunk size", "9" * 10_000)
    assert film.refused
    assert "is out of range" in film.readout
    assert len(film.readout) < 200


def test_step_by_step(film):
    back, on = film.role("button", "step back"), film.role("button", "step on")
    lit = "figure => figure.panels.map(panel => panel.node.querySelectorAll('.now').length)"
    cached = "figure => figure.panels.map(panel => panel.node.querySelectorAll('.cached').length)"
    assert film.evaluate(lit) == [10, 10]
    for _ in range(2):
        on.click()
    assert film.evaluate(lit) == [7, 28]
    assert film.evaluate(cached) == [7, 0]
    assert film.evaluate(cached.replace(".cached", ".new")) == [1, 0]
    assert "one query meets 7 keys (6 cached, 1 new)" in film.readout
    assert "322,560 of 552,960 bytes" in film.readout
    for _ in range(3):
        back.click()
    assert film.evaluate(lit) == [0, 0]
    assert (
        "30 layers · 3 KV heads · 64 · 4 bytes = 46,080 bytes a token" in film.readout
    )
    assert back.is_disabled()


def test_fewer_calls_leave_no_step_behind(film):
    film.page.get_by_label("step", exact=True).fill("5")
    fills(film, "decode calls", "0")
    assert film.evaluate("figure => figure.state.step") == 2
    assert film.role("button", "step on").is_disabled()
    film.role("button", "start again").click()
    assert film.evaluate("figure => [figure.state.step, figure.state.decodes]") == [
        1,
        3,
    ]


def test_amounts_as_the_package_writes_them(film):
    numbers = [0, 1, 9, 999, 1000, 9_999, 10_000, 12_345, 99_949, 99_950, 99_951]
    numbers += [376_250, 999_499, 999_500, 999_501, 14_637_754, 213_000_000]
    numbers += [283_115_520, 1_490_000_000, 7 * 10**12, 123_456_789_012_345, 10**15]
    ours = film.page.evaluate(
        "numbers => numbers.map(n => customElements.get('shape-figure').parts.amount(n, 'FLOPs'))",
        numbers,
    )
    assert ours == [show.amount(number, "FLOPs") for number in numbers]
