"""The slider of key/value heads shares them as the package does, and refuses what it refuses."""

from dataclasses import replace

import pytest
import torch

from companion import KVCache, LlamaConfig, repeat_kv, show
from companion.exercises.gqa import kv_tiled


def config(layers, hidden, heads, kv_heads) -> LlamaConfig:
    return LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
    )


MODELS = {
    "SmolLM2-135M": config(30, 576, 9, 3),
    "Llama 3 8B": config(32, 4096, 32, 8),
    "twelve": config(2, 96, 12, 12),
    "one": config(1, 4, 1, 1),
}
DIVIDING = [
    (name, count)
    for name, each in MODELS.items()
    for count in range(1, each.num_attention_heads + 1)
    if each.num_attention_heads % count == 0
]


@pytest.fixture
def slider(open_figure):
    return open_figure(show.gqa_slider(MODELS, "Heads that share."))


def computed(slider, model, count, order="neighbors"):
    sizes = slider.evaluate("figure => figure.trace.models")[model]
    return slider.static("compute", sizes, count, order)


def test_each_query_head_reads_what_repeat_kv_gives_it(slider):
    for name, count in DIVIDING:
        heads = MODELS[name].num_attention_heads
        numbered = torch.arange(float(count)).reshape(1, count, 1, 1)
        made = computed(slider, name, count)
        assert made["reads"] == repeat_kv(numbered, heads // count).flatten().tolist()
        tiled = computed(slider, name, count, "tiled")["reads"]
        assert tiled == kv_tiled(numbered, heads // count).flatten().tolist()


def test_bytes_are_the_caches(slider):
    for name, count in DIVIDING:
        shared = replace(MODELS[name], num_key_value_heads=count)
        cache = KVCache(shared, 1, 8192, dtype=torch.bfloat16, device="meta")
        assert computed(slider, name, count)["bytes"] * 8192 == cache.nbytes


def test_the_product_that_is_written_out_is_the_sum(slider):
    for name, count in DIVIDING:
        slider.evaluate(
            "(figure, change) => figure.set(change)", {"model": name, "kvHeads": count}
        )
        said = slider.readout.split(": ")[1].split(". ")[1]
        factors, total = said.split(" bytes a token")[0].split(" = ")
        product = 1
        for factor in factors.split(" · "):
            product *= int(factor.split()[0])
        assert product == int(total.replace(",", ""))


def drawn(slider):
    """The query heads above each key/value head."""
    return slider.evaluate(
        "figure => [...figure.groups.children].map(group => "
        "[...group.querySelectorAll('.query')].map(head => +head.textContent))"
    )


def test_the_slider_goes_over_the_divisors(slider):
    assert drawn(slider) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    slider.role("button", "step on").click()
    assert drawn(slider) == [[head] for head in range(9)]
    assert "MHA, n_rep 1: each query head has a KV head of its own" in slider.readout
    slider.page.get_by_label("step", exact=True).fill("0")
    assert drawn(slider) == [list(range(9))]
    assert "MQA" in slider.readout
    assert "1/9 of what 9 KV heads take" in slider.readout


def test_another_model_and_the_wrong_order(slider):
    slider.role("radio", "Llama 3 8B").check()
    assert drawn(slider)[7] == [28, 29, 30, 31]
    slider.role("radio", "0 1 0 1 (wrong)").check()
    assert drawn(slider)[7] == [7, 15, 23, 31]
    assert "The shape is right and the heads are not" in slider.readout
    assert "as the model was trained" not in slider.readout


def refusal(count):
    try:
        config(30, 576, 9, count)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("typed", [0, -1, 2, 4, 8, 10, 10_000, 2**53 - 1])
def test_refused_in_the_words_of_the_config(slider, typed):
    before = slider.evaluate("figure => figure.state")
    field = slider.page.get_by_label("KV heads", exact=True)
    field.fill(str(typed))
    assert slider.refused
    assert slider.readout == refusal(typed)
    assert slider.evaluate("figure => figure.state") == before
    field.fill("9")
    assert not slider.refused
    assert len(drawn(slider)) == 9


@pytest.mark.parametrize("typed", ["three", "", "1.5", "<i>3</i>", "9" * 10_000])
def test_what_is_no_number_is_refused(slider, typed):
    slider.page.get_by_label("KV heads", exact=True).fill(typed)
    assert slider.refused
    assert len(slider.readout) < 200
    assert len(drawn(slider)) == 3
    assert not slider.complaints
