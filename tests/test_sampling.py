import pytest
import torch

from companion.sampling import (
    among_top_k,
    among_top_p,
    choose,
    next_token_probabilities,
)

LIMITS = [
    {},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 1000},
    {"top_p": 1e-9},
    {"top_p": 0.05},
    {"top_p": 0.6},
    {"top_p": 1.0},
    {"top_k": 7, "top_p": 0.8},
    {"top_k": 30, "top_p": 0.3},
]


def hugging_face(logits, temperature, top_k=None, top_p=None):
    """What `generate` of transformers draws from: float32, then one warper after another."""
    from transformers import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    scores = TemperatureLogitsWarper(temperature)(None, logits.float())
    if top_k is not None:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p is not None:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return scores.softmax(dim=-1)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_equals_hugging_faces_warpers(dtype, temperature, limits, device):
    logits = (3 * torch.randn(20, 101)).to(device, dtype)
    assert torch.equal(
        next_token_probabilities(logits, temperature, **limits),
        hugging_face(logits, temperature, **limits),
    )


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_equals_hugging_faces_warpers_where_logits_are_equal(limits):
    logits = torch.randint(-2, 3, (40, 30)).float()
    assert torch.equal(
        next_token_probabilities(logits, 0.7, **limits),
        hugging_face(logits, 0.7, **limits),
    )


def test_temperature_0_gives_all_to_the_likeliest():
    logits = torch.tensor([[0.0, 2, 1], [3, -1, 0]])
    assert next_token_probabilities(logits, 0.0).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_temperature_0_gives_all_to_the_first_of_equals():
    logits = torch.tensor([[0.0, 2, 2], [3, 3, 3]])
    assert next_token_probabilities(logits, 0.0).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_temperature_0_draws_no_number():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    choose(torch.randn(3, 9), 0.0, generator)
    assert torch.equal(generator.get_state(), before)


def test_temperature_is_1_where_none_is_given():
    logits = torch.randn(3, 9)
    assert torch.equal(next_token_probabilities(logits), logits.softmax(dim=-1))


def test_top_k_keeps_as_many_and_equals():
    logits = torch.tensor([[4.0, 1, 3, 2], [1, 1, 1, 0]])
    assert among_top_k(logits, 2).tolist() == [
        [True, False, True, False],
        [True, True, True, False],
    ]


def test_top_p_keeps_the_fewest_that_reach_it():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = {p: among_top_p(logits, p)[0].tolist() for p in (0.01, 0.49, 0.6, 0.9, 1.0)}
    assert {p: sum(flags) for p, flags in kept.items()} == {
        0.01: 1,
        0.49: 1,
        0.6: 2,
        0.9: 3,
        1.0: 4,
    }
    assert kept[0.6] == [True, True, False, False]


def test_top_p_sees_what_top_k_left():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    # of all, 0.4 does not reach 0.5; of the two that top-k keeps it is 4/7
    assert (next_token_probabilities(logits, 1.0, top_p=0.5) > 0).sum() == 2
    both = next_token_probabilities(logits, 1.0, top_k=2, top_p=0.5)
    assert both.tolist() == [[1, 0, 0, 0]]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("temperature", [1e-30, 1e-36, 1e-40, 5e-324])
def test_tiny_temperature_gives_all_to_the_likeliest(temperature, limits):
    logits = torch.tensor([[-3.0, 5e4, 2e4, 0], [5e-2, -6e4, -5e4, 4e-2]])
    probabilities = next_token_probabilities(logits, temperature, **limits)
    assert probabilities.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert choose(logits, temperature, **limits).tolist() == [1, 0]


def test_tiny_temperature_shares_among_equals():
    logits = torch.tensor([[7.0, -7, 7, 0]])
    assert next_token_probabilities(logits, 1e-40).tolist() == [[0.5, 0, 0.5, 0]]


def test_temperature_goes_first():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    flat = next_token_probabilities(logits, 100.0, top_p=0.6)
    assert (flat > 0).sum() == 3
    sharp = next_token_probabilities(logits, 0.1, top_p=0.6)
    assert (sharp > 0).sum() == 1


def test_rows_are_limited_each_by_itself():
    logits = torch.tensor([[9.0, 0, 0, 0], [0, 0, 0, 0]])
    kept = next_token_probabilities(logits, 1.0, top_p=0.8) > 0
    assert kept.sum(dim=-1).tolist() == [1, 4]


def test_choose_draws_what_is_left():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log().expand(20000, 4)
    generator = torch.Generator().manual_seed(0)
    drawn = choose(logits, 1.0, generator, top_k=3, top_p=0.7)
    shares = drawn.bincount(minlength=4) / 20000
    torch.testing.assert_close(
        shares, torch.tensor([4 / 7, 3 / 7, 0, 0]), atol=0.015, rtol=0
    )


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize(
    ("row", "largest"),
    [
        ([torch.nan, 1.0, 2.0], "nan"),
        ([1.0, torch.inf, 2.0], "inf"),
        ([-torch.inf] * 3, "-inf"),
    ],
)
@pytest.mark.parametrize("draw", [next_token_probabilities, choose])
def test_rows_that_choose_no_token_are_refused(draw, row, largest, temperature):
    logits = torch.tensor([[1.0, 2.0, 3.0], row])
    with pytest.raises(ValueError, match=f"is {largest}, in row 1 of 2"):
        draw(logits, temperature)


def test_the_first_row_that_chooses_no_token_is_named():
    logits = torch.tensor([[1.0, 2.0], [torch.nan, 2], [3, 4], [torch.inf, 0]])
    with pytest.raises(ValueError, match="is nan, in row 1 of 4"):
        next_token_probabilities(logits)


def test_logits_without_data():
    logits = torch.empty(3, 9, device="meta")
    assert next_token_probabilities(logits, top_k=2, top_p=0.5).shape == (3, 9)
    assert choose(logits, 0.0).shape == (3,)


@pytest.mark.parametrize("batch", [3, 20])
@pytest.mark.parametrize(
    ("top_k", "limits"), [(0, False), (1, True), (8, True), (9, False)]
)
def test_temperature_0_beside_a_top_k(batch, top_k, limits):
    logits = torch.randn(batch, 9)
    if limits:
        with pytest.raises(ValueError, match=f"temperature is 0.*top_k \\({top_k}\\)"):
            next_token_probabilities(logits, 0.0, top_k)
    else:
        kept = next_token_probabilities(logits, 0.0, top_k)
        assert torch.equal(kept, next_token_probabilities(logits, 0.0))


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_tokens_that_someone_has_ruled_out_are_none(temperature):
    logits = torch.tensor([[-torch.inf, 2.0, -torch.inf]])
    assert next_token_probabilities(logits, temperature).tolist() == [[0, 1, 0]]
    assert choose(logits, temperature).tolist() == [1]


def test_top_k_of_0_keeps_every_token():
    logits = torch.randn(2, 9)
    expected = next_token_probabilities(logits, 0.8, top_p=0.9)
    assert torch.equal(
        next_token_probabilities(logits, 0.8, top_k=0, top_p=0.9), expected
    )
