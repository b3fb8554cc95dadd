"""The head atlas shows the weights of a run of the package, and says the same to everyone."""

import browse
import pytest
import torch

from companion import attention_weights, show
from companion.decoder import LlamaAttention
from companion.gqa import repeat_kv
from companion.show.figures.thumbnails import layers_across

SENTENCES = [
    "The cat sat on the mat. The cat sat on the",
    "The animal didn't cross the street because it was too tired",
]


@pytest.fixture(scope="module")
def made(bundled):
    return show.head_atlas(*bundled, SENTENCES, "All heads.")


@pytest.fixture(scope="module")
def runs(bundled):
    """The weights (270, q_len, kv_len) of each sentence, kept by an `attend` of this file."""
    model, tokenizer = bundled
    found = []
    layers = [m for m in model.modules() if isinstance(m, LlamaAttention)]
    before = [layer.attend for layer in layers]
    for sentence in SENTENCES:
        kept = []

        def attend(query, key, value, attn_mask, is_causal, kept=kept, **options):
            weights = attention_weights(query, repeat_kv(key, 3), attn_mask, is_causal)
            kept.append(weights[0])
            return weights @ repeat_kv(value, 3)

        for layer in layers:
            layer.attend = attend
        with torch.inference_mode():
            model(torch.tensor([tokenizer.encode(sentence)]))
        found.append(torch.cat(kept))
    for layer, own in zip(layers, before, strict=True):
        layer.attend = own
    return found


@pytest.fixture
def atlas(open_figure, made):
    return open_figure(made)


def pick(atlas, **state):
    atlas.evaluate("(figure, state) => figure.set(state)", state)


@pytest.mark.parametrize("sentence", [0, 1])
def test_every_weight_of_every_head_is_the_packages(atlas, made, runs, sentence):
    given, run = made.trace["sentences"][sentence], runs[sentence]
    unpacked = atlas.page.evaluate(
        "([text, length]) => Array.from({length: 270}, (_, head) => "
        "customElements.get('head-atlas').weightsOf(text, head, length))",
        [given["weights"], run.shape[-1]],
    )
    weights = torch.tensor(unpacked)
    assert (weights - run).abs().max() <= 0.5 / 255 + 1e-4
    length = run.shape[-1]
    assert (weights.sum(-1) - 1).abs().max() <= length * 0.5 / 255
    assert not weights.triu(1).any()


def test_the_weights_weigh_little(made):
    sizes = [len(each["weights"]) for each in made.trace["sentences"]]
    assert all(size <= 28_080 for size in sizes)  # 12 tokens, 270 · 78 bytes, base64


def test_shares_are_means_over_the_queries(made, runs):
    """Redone here one query after the other."""
    first, itself, before, followed = (
        torch.tensor(made.trace["sentences"][0]["shares"][name]) / 1000
        for name in ("first", "itself", "before", "followed")
    )
    run = runs[0]
    mean = lambda cells: sum(run[:, i, j] for i, j in cells) / len(cells)  # noqa: E731
    close = {"rtol": 0, "atol": 6e-4}
    torch.testing.assert_close(first, mean([(i, 0) for i in range(1, 12)]), **close)
    torch.testing.assert_close(itself, mean([(i, i) for i in range(1, 12)]), **close)
    torch.testing.assert_close(
        before, mean([(i, i - 1) for i in range(2, 12)]), **close
    )
    # "cat", "sat", "on" and "the", each to what stood after it; " The" is no "The"
    again = [(8, 2), (9, 3), (10, 4), (11, 5)]
    torch.testing.assert_close(followed, mean(again), **close)


def test_a_sentence_without_repetition_has_no_such_share(atlas, made):
    assert "followed" not in made.trace["sentences"][1]["shares"]
    atlas.role("combobox", "order by").select_option("followed")
    atlas.role("combobox", "sentence").select_option("1")
    assert atlas.evaluate("figure => figure.state.order") == ""
    option = atlas.role("combobox", "order by").locator("option[value=followed]")
    assert option.is_disabled()


@pytest.mark.parametrize("name", ["first", "itself", "before", "followed"])
def test_order_is_by_share(atlas, made, name):
    shares = made.trace["sentences"][0]["shares"][name]
    atlas.role("combobox", "order by").select_option(name)
    places = atlas.evaluate("figure => figure.places")
    assert places == sorted(range(270), key=lambda head: (-shares[head], head))
    first = atlas.page.get_by_role("grid", name="weights").get_by_role("gridcell").first
    layer, head = divmod(places[0], 9)
    said = f"layer {layer}, head {head}: {round(shares[places[0]] / 10)}%"
    assert first.get_attribute("aria-label") == said


def test_layers_across_and_heads_down(atlas):
    """Two bands of 15 layers; a head's KV head is its number by three."""
    grid = atlas.page.get_by_role("grid", name="layers across, heads down")
    cells = grid.get_by_role("gridcell")
    assert cells.count() == 270
    cells.nth((9 + 4) * 15 + 2).click()
    assert atlas.evaluate("figure => figure.state.head") == 17 * 9 + 4
    assert (
        "Layer 17, head 4, KV head 1, which query heads 3 to 5 share" in atlas.readout
    )


def test_every_head_has_one_place(atlas):
    for layers in (1, 2, 16, 17, 30, 33):
        sizes = {"layers": layers, "heads": 4, "columns": layers_across(layers)}
        places = atlas.static("arranged", sizes, None)
        heads = sorted(place for place in places if place is not None)
        assert heads == [*range(layers * 4)]
        assert sizes["columns"] <= 16


def test_arrows_go_from_head_to_head(atlas):
    grid = atlas.page.get_by_role("grid", name="layers across")
    grid.get_by_role("gridcell").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        atlas.page.keyboard.press(key)
    assert atlas.evaluate("figure => figure.state.head") == 2 * 9 + 1


def test_the_pointer_looks_and_a_press_takes(atlas):
    start = atlas.evaluate("figure => figure.state.head")
    cells = atlas.page.get_by_role("grid", name="layers across").get_by_role("gridcell")
    cells.nth(31).hover()
    assert "Layer 1, head 2," in atlas.readout
    atlas.page.get_by_role("heading").hover()
    assert atlas.evaluate("figure => figure.state.head") == start
    assert f"Layer {start // 9}, head {start % 9}," in atlas.readout
    cells.nth(31).click()
    atlas.page.get_by_role("heading").hover()
    assert "Layer 1, head 2," in atlas.readout


def test_menus_take_a_layer_and_a_head(atlas):
    atlas.role("combobox", "layer").select_option("29")
    atlas.role("combobox", "head").select_option("1")
    assert "Layer 29, head 1, KV head 0" in atlas.readout


def test_what_each_query_attends_most(atlas, made, runs):
    for head in range(0, 270, 7):
        pick(atlas, head=head)
        said = atlas.evaluate(
            "figure => customElements.get('head-atlas').most(figure.made)"
        )
        told = [key for first, last, key in said for _ in range(first, last + 1)]
        bytes_of_run = (runs[0][head] * 255).round()
        assert told == bytes_of_run.argmax(-1).tolist()


def test_the_first_head_is_the_one_that_copies(atlas, made, runs):
    shares = made.trace["sentences"][0]["shares"]["followed"]
    assert shares[made.trace["start"]] == max(shares)
    weights = runs[0][made.trace["start"]]
    assert f"“the” (11) takes {weights[11].max():.0%}" in atlas.readout
    assert "“cat” (8) → “sat” (2)" in atlas.readout


def test_a_press_on_a_token_shows_what_it_reads(atlas, runs):
    strip = atlas.page.get_by_role("group", name="query, and what it reads")
    strip.get_by_role("button").nth(9).click()
    weights = runs[0][atlas.evaluate("figure => figure.state.head")]
    shown = strip.locator("small").all_text_contents()
    for key, (text, weight) in enumerate(zip(shown, weights[9].tolist(), strict=True)):
        assert text == "later" if key > 9 else abs(int(text[:-1]) - 100 * weight) <= 0.7
    pressed = strip.get_by_role("button", pressed=True)
    assert pressed.count() == 1


def test_the_large_map_says_each_cell(atlas):
    cells = atlas.page.get_by_role(
        "grid", name="layer 17, head 4 (12, 12)"
    ).get_by_role("gridcell")
    assert cells.nth(8 * 12 + 2).get_attribute("aria-label") == "cat to sat: 78%"
    assert cells.nth(1).get_attribute("aria-label") == "The to cat: masked"
    cells.nth(8 * 12 + 2).click()
    assert "“cat” (8) takes 78% of the value of “sat” (2)" in atlas.readout


PIXEL = """(figure, [place, i, j]) => {
  const {canvas, atlas, shown} = figure, cell = atlas.cells.flat()[place], side = cell.offsetWidth;
  const unit = (side - 3) / shown.tokens.length, at = n => Math.floor(devicePixelRatio * n);
  const x = cell.offsetLeft + 1.5 + (j + 0.5) * unit;
  const y = cell.offsetTop + cell.offsetHeight - side + 1.5 + (i + 0.5) * unit;
  return [...canvas.getContext("2d").getImageData(at(x), at(y), 1, 1).data];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_thumbnails_are_drawn_in_the_themes_ink(open_figure, made, runs, scheme):
    """The place of layer 17, head 4: full where the weight is, empty where it is not."""
    figure = open_figure(made, scheme=scheme)
    ink = {"light": [33, 102, 172], "dark": [90, 169, 240]}[scheme]
    place = (9 + 4) * 15 + 2
    sink = figure.evaluate(PIXEL, [place, 3, 0])
    assert [abs(a - b) <= 3 for a, b in zip(sink, ink, strict=False)] == [True] * 3
    assert sink[3] > 0.9 * 255
    assert figure.evaluate(PIXEL, [place, 3, 2])[3] < 0.1 * 255
    assert figure.evaluate(PIXEL, [place, 2, 9])[3] == 0
    other = {"light": "dark", "dark": "light"}[scheme]
    figure.evaluate(f"() => {{ document.documentElement.dataset.theme = '{other}' }}")
    assert figure.evaluate(PIXEL, [place, 3, 0])[:3] != sink[:3]


def test_a_phone_shows_all_of_it(open_figure, made):
    figure = open_figure(made, size=browse.PHONE)
    assert figure.page.evaluate("document.scrollingElement.scrollWidth") <= 390
    widths = figure.evaluate(
        "figure => figure.maps[0].cells[0].map(cell => cell.offsetWidth)"
    )
    assert min(widths) >= 22
    assert not figure.complaints


@pytest.mark.parametrize(
    ("sentences", "why"),
    [
        ([], "no sentences"),
        (["The cat"], "'The cat' has 2 tokens: an atlas shows 3 to 16"),
        (["a " * 40], "tokens: an atlas shows 3 to 16"),
    ],
)
def test_sentences_that_do_not_fit_are_refused(bundled, sentences, why):
    with pytest.raises(ValueError, match=why):
        show.head_atlas(*bundled, sentences, "All heads.")
