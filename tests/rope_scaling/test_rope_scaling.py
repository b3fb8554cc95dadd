"""Scaled RoPE by hand; tests/parity/ sets it beside Hugging Face."""

import math

import pytest
import tiny
import torch

from companion import (
    DynamicNTKScaling,
    FrequencyFactors,
    LinearScaling,
    Llama3Scaling,
    RopeScaling,
    YarnScaling,
    generate,
)
from companion.rope import rope_cos_sin
from companion.rope_scaling.scaling import inverse_frequencies, on_device

HEAD_DIM, THETA = 8, 10000.0
PLAIN = torch.tensor([1.0, 0.1, 0.01, 0.001])


def frequencies(scaling, last_position=0):
    return scaling.frequencies(HEAD_DIM, THETA, torch.tensor([0, last_position]))


def test_no_scaling():
    torch.testing.assert_close(frequencies(RopeScaling()), PLAIN)
    assert RopeScaling().magnitude == 1.0
    assert RopeScaling() == RopeScaling()


def test_linear_slows_every_pair():
    torch.testing.assert_close(frequencies(LinearScaling(4.0)), PLAIN / 4)


def test_linear_is_positions_closer_together():
    positions = torch.arange(0, 40, 4)
    scaled = rope_cos_sin(positions, HEAD_DIM, THETA, scaling=LinearScaling(4.0))
    near = rope_cos_sin(torch.arange(10), HEAD_DIM, THETA)
    for a, b in zip(scaled, near, strict=True):
        torch.testing.assert_close(a, b)


def test_dynamic_is_plain_up_to_the_original_length():
    scaling = DynamicNTKScaling(4.0, 16)
    for last in (0, 3, 15):
        torch.testing.assert_close(frequencies(scaling, last_position=last), PLAIN)
    assert frequencies(scaling, last_position=16)[-1] < PLAIN[-1]


def test_dynamic_raises_theta_with_the_length():
    # length 32 of 16: stretch = 4 * 2 - 3 = 5, theta * 5^(8/6)
    scaled = frequencies(DynamicNTKScaling(4.0, 16), last_position=31)
    torch.testing.assert_close(scaled, inverse_frequencies(8, THETA * 5 ** (8 / 6)))
    # the first pair keeps its pace; the last turns slower by exactly the stretch
    torch.testing.assert_close(scaled[[0, -1]], PLAIN[[0, -1]] / torch.tensor([1, 5]))


def test_dynamic_takes_no_tokens():
    empty = torch.zeros(1, 0, dtype=torch.long)
    scaled = DynamicNTKScaling(4.0, 16).frequencies(HEAD_DIM, THETA, empty)
    torch.testing.assert_close(scaled, PLAIN)


def test_yarn_by_hand():
    # over 2000 positions the pairs make 318, 31.8, 3.2 and 0.3 turns: between 32 and 1
    # turns lies a ramp from pair 0.99 to 2.5, which truncate widens to 0 ... 3
    scaled = frequencies(YarnScaling(4.0, 2000))
    ramp = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])
    torch.testing.assert_close(scaled, (1 - ramp) * PLAIN + ramp * PLAIN / 4)
    low, high = (
        8 * math.log(2000 / (turns * 2 * math.pi)) / (2 * math.log(THETA))
        for turns in (32, 1)
    )
    ramp = ((torch.arange(4.0) - low) / (high - low)).clamp(0, 1)
    sharp = frequencies(YarnScaling(4.0, 2000, truncate=False))
    torch.testing.assert_close(sharp, (1 - ramp) * PLAIN + ramp * PLAIN / 4)


def test_yarn_ramp_ends_at_the_last_feature():
    # a millionth of a turn is what pair 8.5 would make
    scaled = frequencies(YarnScaling(4.0, 2000, beta_slow=1e-6))
    ramp = torch.arange(4) / (HEAD_DIM - 1)
    torch.testing.assert_close(scaled, (1 - ramp) * PLAIN + ramp * PLAIN / 4)


def test_yarn_with_a_ramp_of_no_width_is_a_step():
    scaled = frequencies(YarnScaling(4.0, 4, beta_fast=32.0))
    torch.testing.assert_close(scaled, PLAIN / torch.tensor([1.0, 4, 4, 4]))


def test_yarn_magnitude():
    assert YarnScaling(4.0, 16).magnitude == pytest.approx(0.1 * math.log(4) + 1)
    assert YarnScaling(1.5, 16).magnitude == pytest.approx(0.1 * math.log(1.5) + 1)
    assert YarnScaling(0.5, 16).magnitude == 1.0
    assert YarnScaling(4.0, 16, attention_factor=1.5).magnitude == 1.5


def test_magnitude_multiplies_cos_and_sin():
    position = torch.tensor([3])
    loud = YarnScaling(4.0, 16, attention_factor=1.5)
    quiet = YarnScaling(4.0, 16, attention_factor=1.0)
    for a, b in zip(
        rope_cos_sin(position, HEAD_DIM, THETA, scaling=loud),
        rope_cos_sin(position, HEAD_DIM, THETA, scaling=quiet),
        strict=True,
    ):
        torch.testing.assert_close(a, 1.5 * b)


def test_llama3_by_hand():
    # over 400 positions the pairs make 63.7, 6.4, 0.64 and 0.06 turns
    scaled = frequencies(Llama3Scaling(8.0, 1.0, 10.0, 400))
    stay = (400 * 0.1 / (2 * math.pi) - 1) / 9
    ramp = (1 - stay) * 0.1 / 8 + stay * 0.1
    torch.testing.assert_close(scaled, torch.tensor([1.0, ramp, 0.01 / 8, 0.001 / 8]))


@pytest.mark.parametrize(
    ("scaling", "trained", "tokens"),
    [
        (RopeScaling(), 16, 16),
        (LinearScaling(4.0), 16, 64),
        (LinearScaling(4.0, 16), 64, 64),
        (LinearScaling(1.5), 16, 24),
        (DynamicNTKScaling(4.0, 16), 16, 64),
        (DynamicNTKScaling(2.0, 16), 64, 64),
        (YarnScaling(4.0, 16), 16, 64),
        (YarnScaling(4.0, 16), 32, 64),
        (YarnScaling(4.0, 16), 128, 128),
        (Llama3Scaling(8.0, 1.0, 4.0, 16), 16, 128),
        (Llama3Scaling(8.0, 1.0, 4.0, 16), 64, 64),
        (FrequencyFactors((1.0, 8.0)), 64, 64),
    ],
    ids=str,
)
def test_tokens_that_a_text_may_have(scaling, trained, tokens):
    """A model that was stretched by hand keeps the length that it was trained for."""
    assert scaling.max_positions(trained) == tokens
    model = tiny.model(max_position_embeddings=trained, rope_scaling=scaling)
    prompt = tiny.ids(1, tokens - 2)
    assert generate(model, prompt, 2).shape == (1, tokens)
    with pytest.raises(ValueError, match=f"has {tokens} positions"):
        generate(model, prompt, 3)


def test_factors_divide_each_pair():
    scaled = frequencies(FrequencyFactors((1.0, 2.0, 4.0, 8.0)))
    torch.testing.assert_close(scaled, PLAIN / torch.tensor([1.0, 2, 4, 8]))


def test_factors_are_a_tensor_once():
    """Ones that autograd takes, whoever asks first."""
    factors = FrequencyFactors((1.0, 2.0, 4.0, 16.0)).factors
    with torch.inference_mode():
        made = on_device(factors, torch.device("cpu"))
    assert not made.is_inference()
    assert on_device(factors, torch.device("cpu")) is made


def test_llama3_is_a_set_of_factors():
    scaling = Llama3Scaling(8.0, 1.0, 4.0, 400)
    factors = tuple((PLAIN / frequencies(scaling)).tolist())
    torch.testing.assert_close(
        frequencies(FrequencyFactors(factors)), frequencies(scaling)
    )


@pytest.mark.parametrize(
    "scaling",
    [
        LinearScaling(4.0),
        YarnScaling(4.0, 16),
        Llama3Scaling(8.0, 1.0, 4.0, 16),
        FrequencyFactors((1.0, 2.0, 4.0, 8.0)),
    ],
    ids=lambda scaling: type(scaling).__name__,
)
def test_only_dynamic_looks_at_the_length(scaling):
    assert torch.equal(frequencies(scaling), frequencies(scaling, last_position=1000))
