"""Sampling in the page is the package's: the same probabilities, the same refusals."""

import itertools
import json

import browse
import pytest
import torch

from companion import show
from companion.refusals.sampling import check_sampling
from companion.sampling import next_token_probabilities
from companion.show.interactive.token_sampling import next_logits

PROMPTS = ["Once upon a time, there was a", "The capital of France is"]
TEMPERATURES = [1e-40, 1e-3, 0.3, 0.8, 1, 1.5, 7, 1e30]
TOP_KS = [None, 0, 1, 2, 10, 64, 65, 500, 10**6]
TOP_PS = [None, 1e-6, 0.1, 0.5, 0.9, 0.999, 1]
SETTINGS = list(itertools.product(TEMPERATURES, TOP_KS, TOP_PS))


@pytest.fixture(scope="module")
def made(bundled):
    return show.token_sampling(*bundled, PROMPTS, "Sampling.")


@pytest.fixture
def sampling(open_figure, made):
    return open_figure(made)


def named(setting):
    return dict(zip(("temperature", "top_k", "top_p"), setting, strict=True))


def logits_of(kind, size, seed):
    """Logits (size,): normal, with ties, far apart, nearly the same, some of them -inf."""
    drawn = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    if kind == "ties":
        return (3 * drawn).round()
    if kind == "hidden":
        return drawn.masked_fill(drawn.abs() < 0.3, -torch.inf)
    return drawn * {"normal": 2, "apart": 1e4, "near": 1e-6}[kind]


def computed(sampling, logits, settings):
    """What the page makes of the logits, for each of the settings."""
    given = [None if x == -torch.inf else x for x in logits.double().tolist()]
    found = sampling.page.evaluate(
        """([logits, settings]) => {
          const all = logits.map(x => x ?? -Infinity);
          return settings.map(each => customElements.get("token-sampling").compute(all, each).probabilities);
        }""",
        [given, [named(each) for each in settings]],
    )
    return torch.tensor(found, dtype=torch.float32)


def on_the_edge(logits, temperature, top_k, top_p):
    """Whether a sum of probabilities is within rounding of what top_p asks for."""
    if top_p is None:
        return False
    left = next_token_probabilities(logits[None], temperature, top_k)[0]
    sums = left.sort().values.double().cumsum(0)
    return bool(((sums - (1 - top_p)).abs() < 1e-6).any())


@pytest.mark.parametrize("kind", ["normal", "ties", "apart", "near", "hidden"])
def test_as_the_package_computes(sampling, kind):
    """504 settings each for two sizes; what stays is the same, but for a sum on the edge."""
    edges = 0
    for seed, size in enumerate((7, 300)):
        logits = logits_of(kind, size, seed)
        ours = computed(sampling, logits, SETTINGS)
        for setting, mine in zip(SETTINGS, ours, strict=True):
            right = next_token_probabilities(logits[None], **named(setting))[0]
            if (
                kind == "ties"
            ):  # top_p may cut some of equal logits: torch's sort says which
                mine, right = mine.sort().values, right.sort().values
            same = torch.equal(mine > 0, right > 0) and torch.allclose(
                mine, right, rtol=1e-4, atol=1e-6
            )
            if not same:
                assert on_the_edge(logits, *setting), (kind, size, setting)
                edges += 1
    assert edges <= 40


@pytest.mark.parametrize("temperature", [0])
def test_temperature_0_takes_the_first_of_the_likeliest(sampling, temperature):
    for seed in range(20):
        logits = logits_of("ties", 40, seed)
        [mine] = computed(sampling, logits, [(temperature, None, None)])
        assert torch.equal(mine, next_token_probabilities(logits[None], temperature)[0])


@pytest.mark.parametrize("prompt", [0, 1])
def test_counted_logits_give_the_shares_of_all(sampling, bundled, prompt):
    """The 64 likeliest as they are, the others in steps: no share moves by 0.1%."""
    logits = next_logits(*bundled, PROMPTS[prompt])
    expanded = sampling.evaluate("(figure, n) => figure.logits[n]", prompt)
    assert len(expanded) == len(logits)
    ordered = logits.sort(descending=True).values
    assert expanded[:64] == ordered[:64].tolist()
    assert (torch.tensor(expanded) - ordered).abs().max() <= 0.0101
    settings = [
        named(each)
        for each in itertools.product(
            [0.3, 1, 2], [None, 5, 200, 5000], [None, 0.5, 0.95]
        )
    ]
    results = sampling.evaluate(
        "(figure, [n, settings]) => settings.map(each => {"
        " const {probabilities, cut} = customElements.get('token-sampling').compute(figure.logits[n], each);"
        " return [probabilities.slice(0, 64), cut.filter(x => !x).length]; })",
        [prompt, settings],
    )
    for setting, (shares, kept) in zip(settings, results, strict=True):
        right = next_token_probabilities(logits[None], **setting)[0]
        first = right.sort(descending=True).values[:64]
        mine = torch.tensor(shares, dtype=torch.float32)
        torch.testing.assert_close(mine, first, rtol=2e-3, atol=1e-9)
        left = int((right > 0).sum())
        assert abs(kept - left) <= 0.01 * left, setting


def test_first_state_is_the_packages(sampling, bundled):
    logits = next_logits(*bundled, PROMPTS[0])
    right = next_token_probabilities(logits[None], temperature=0.8, top_k=10, top_p=0.9)
    likeliest = right[0].topk(2).values
    rows = sampling.page.get_by_role("row")
    now = rows.nth(1).get_by_role("cell").nth(2).text_content()
    assert now == f"{likeliest[0]:.1%}"
    left = int((right > 0).sum())
    assert "top_k 10 leaves 10 of 49,152 tokens" in sampling.readout
    assert f"top_p 0.9 leaves {left}," in sampling.readout
    assert f"to {likeliest[0]:.1%}." in sampling.readout


TYPED = [
    ("temperature", "-1"),
    ("temperature", "two"),
    ("temperature", ""),
    ("temperature", "nan"),
    ("temperature", "inf"),
    ("temperature", "-inf"),
    ("temperature", "0,8"),
    ("temperature", "<b>1</b>"),
    ("temperature", "0x10"),
    ("temperature", "$&"),
    ("top_k", "-1"),
    ("top_k", "2.5"),
    ("top_k", "3.0"),
    ("top_k", "many"),
    ("top_k", "nan"),
    ("top_p", "0"),
    ("top_p", "-0.5"),
    ("top_p", "1.5"),
    ("top_p", "nan"),
    ("top_p", "90%"),
]


def as_python(text):
    """What was typed, as Python reads it."""
    for reads in (int, float):
        try:
            return reads(text)
        except ValueError:
            continue
    return text


@pytest.mark.parametrize(("name", "typed"), TYPED)
def test_refused_in_the_packages_words(sampling, name, typed):
    with pytest.raises(ValueError, match=name) as refusal:
        check_sampling(**{"temperature": 1.0, name: as_python(typed)})
    before = sampling.evaluate("figure => figure.state")
    field = sampling.role("textbox", name)
    field.fill(typed)
    assert sampling.refused
    assert sampling.readout == str(refusal.value)
    assert field.get_attribute("aria-invalid") == "true"
    assert sampling.evaluate("figure => figure.state") == before
    field.fill("1")
    assert not sampling.refused
    assert field.get_attribute("aria-invalid") is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("", None), ("None", None), ("0", 0), ("49152", 49152), ("9" * 30, 1e30)],
)
def test_what_the_package_takes_is_taken(sampling, typed, kept):
    sampling.role("textbox", "top_k").fill(typed)
    assert not sampling.refused
    assert sampling.evaluate("figure => figure.state.top_k") == kept


def test_what_is_very_long_is_quoted_in_part(sampling):
    sampling.role("textbox", "temperature").fill("x" * 10_000)
    assert sampling.refused
    assert len(sampling.readout) < 200


@pytest.mark.parametrize(
    ("top_k", "top_p"), [("10", "0.9"), ("", "0.9"), ("10", ""), ("1", "1")]
)
def test_temperature_0_beside_a_limit_is_refused(sampling, top_k, top_p):
    sampling.role("textbox", "top_k").fill(top_k)
    sampling.role("textbox", "top_p").fill(top_p)
    slider = sampling.role("slider", "temperature, slider")
    slider.press("Home")
    read = {"top_k": int(top_k or 0) or None, "top_p": as_python(top_p) or None}
    with pytest.raises(ValueError, match="temperature is 0") as refusal:
        check_sampling(0, **read, vocab_size=49152)
    assert sampling.refused
    assert sampling.readout == str(refusal.value)
    assert sampling.evaluate("figure => figure.state.temperature") == 0.8
    assert slider.input_value() == "0.8"


def test_temperature_0_alone_is_greedy(sampling):
    sampling.role("textbox", "top_k").fill("")
    sampling.role("textbox", "top_p").fill("")
    sampling.role("textbox", "temperature").fill("0")
    assert not sampling.refused
    assert sampling.readout.startswith("Temperature 0 takes the likeliest token")
    assert sampling.page.get_by_text("cut: temperature 0").count() == 19
    sampling.role("textbox", "top_k").fill("5")
    assert sampling.refused


def test_sliders_and_fields_are_one(sampling):
    sampling.role("slider", "top_k, slider").press("End")
    assert sampling.role("textbox", "top_k").input_value() == "None"
    sampling.role("slider", "top_p, slider").press("Home")
    assert sampling.role("textbox", "top_p").input_value() == "0.05"
    sampling.role("textbox", "temperature").fill("1.5")
    assert sampling.role("slider", "temperature, slider").input_value() == "1.5"


def test_a_slide_mends_what_was_typed_wrong(sampling):
    field = sampling.role("textbox", "top_p")
    field.fill("no")
    sampling.role("slider", "top_p, slider").press("Home")
    assert field.get_attribute("aria-invalid") is None
    assert not sampling.refused


def test_each_cut_token_says_what_cut_it(sampling):
    rows = sampling.page.get_by_role("row").all_text_contents()[1:]
    whys = [row.rpartition("cut: ")[2] for row in rows if "cut: " in row]
    left = 20 - len(whys)
    assert whys == ["top_p"] * (10 - left) + ["top_k"] * 10
    assert rows[-1].endswith("all cut")


def test_draws_fall_among_what_is_left(sampling):
    sampling.role("button", "draw 100 tokens").click()
    assert sampling.readout.startswith("100 drawn, ")
    counts = sampling.evaluate("figure => [...figure.state.counts]")
    kept = sampling.evaluate("figure => figure.made.probabilities.map(x => x > 0)")
    assert sum(count for _, count in counts) == 100
    assert all(kept[token] for token, _ in counts)
    shown = sampling.evaluate(
        "figure => figure.rows.map(row => row.cells[2].textContent)"
    )
    assert sum(int(count or 0) for count in shown) == 100
    sampling.role("textbox", "top_k").fill("3")
    assert sampling.evaluate("figure => figure.state.counts") is None


def test_a_draw_inverts_the_sum(sampling):
    p = [0.25, 0, 0.5, 0.25]
    at = {0: 0, 0.2: 0, 0.25: 2, 0.74: 2, 0.75: 3, 0.999: 3}
    for place, token in at.items():
        assert sampling.static("drawn", p, place) == token
    assert sampling.static("drawn", [0.9, 0.05], 0.99) == 0  # a sum short of 1


def test_a_change_is_quick(sampling):
    """All 49,152 tokens are computed again at each."""
    sampling.role("textbox", "top_k").fill("")
    took = sampling.evaluate(
        "figure => { const start = performance.now();"
        " for (let i = 0; i < 5; i++) figure.set({temperature: 1 + i / 10});"
        " return (performance.now() - start) / 5; }"
    )
    assert took < 300


@pytest.mark.parametrize("prompt", ["0", "1"])
def test_a_phone_shows_all_of_it(open_figure, made, prompt):
    figure = open_figure(made, size=browse.PHONE)
    figure.role("combobox", "prompt").select_option(prompt)
    figure.role("button", "draw 100 tokens").click()
    assert figure.page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert not figure.complaints


def test_little_data(made):
    assert len(json.dumps(made.trace)) < 16_000


def test_bad_arguments_are_refused_in_python(bundled):
    with pytest.raises(ValueError, match="no prompts"):
        show.token_sampling(*bundled, [], "c")
    with pytest.raises(ValueError, match="top_p is 2"):
        show.token_sampling(*bundled, PROMPTS, "c", {"temperature": 1, "top_p": 2})
