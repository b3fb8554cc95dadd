"""What is left to draw from, and how likely it is, for any logits and limits."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, normal, permutation, seeds
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from companion.sampling import choose, next_token_probabilities

DTYPES = torch.float64, torch.float32, torch.bfloat16, torch.float16
temperatures = st.sampled_from([1e-3, 0.3, 1.0, 2.5, 100.0])
top_ks = st.one_of(st.none(), st.integers(1, 40))
top_ps = st.one_of(st.none(), st.floats(1e-4, 1.0))


@st.composite
def logits(draw, distinct=False):
    """(batch, vocab), in any dtype; with equal ones among them, and some of -inf."""
    batch, vocab = draw(st.integers(1, 3)), draw(st.integers(1, 30))
    loud = draw(st.sampled_from([0.01, 1.0, 5.0]))
    drawn = loud * normal(draw(seeds), batch, vocab, dtype=torch.float32)
    if distinct:
        return drawn
    if draw(st.booleans()):
        drawn = drawn.round()
    hidden = normal(draw(seeds), batch, vocab) > draw(st.sampled_from([9.0, 0.5]))
    hidden[:, draw(st.integers(0, vocab - 1))] = False
    return drawn.masked_fill(hidden, -torch.inf).to(draw(st.sampled_from(DTYPES)))


@given(logits(), temperatures, top_ks, top_ps)
def test_probabilities_sum_to_one_and_rise_with_the_logits(
    logits, temperature, top_k, top_p
):
    """In float32, in every row; what is at -inf is never drawn, one of the likeliest always may be."""
    probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
    assert probabilities.dtype == torch.float32
    assert_close(probabilities.sum(-1), torch.ones(len(logits)), 1e-5)
    assert probabilities[logits.isneginf()].eq(0).all()
    ascending = probabilities.gather(-1, logits.float().argsort(-1))
    assert (ascending.diff(dim=-1) >= 0).all() or top_p is not None  # equals are parted
    likeliest = logits == logits.amax(-1, keepdim=True)
    assert (probabilities.where(likeliest, 0.0).sum(-1) > 0).all()


@given(logits(), temperatures, top_ks, top_ps)
def test_what_hugging_face_s_warpers_leave_is_left(logits, temperature, top_k, top_p):
    """To the last bit, where logits are equal too."""
    scores = TemperatureLogitsWarper(temperature)(None, logits.float())
    if top_k is not None:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p is not None and top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
    assert torch.equal(probabilities, scores.softmax(-1))


@given(logits(), temperatures, st.integers(1, 40), st.integers(0, 5))
def test_a_larger_top_k_keeps_all_that_a_smaller_one_keeps(
    logits, temperature, top_k, more
):
    """And exactly as many, or as there are, where no two logits are equal."""
    kept = next_token_probabilities(logits, temperature, top_k) > 0
    wider = next_token_probabilities(logits, temperature, top_k + more) > 0
    assert (wider | ~kept).all()
    order = normal(0, *logits.shape).argsort(-1).float()
    count = (next_token_probabilities(order, 30.0, top_k) > 0).sum(-1)
    assert count.eq(min(top_k, logits.shape[1])).all()


@given(logits(distinct=True), st.floats(1e-4, 1.0), st.floats(1e-4, 1.0))
def test_top_p_keeps_the_fewest_likeliest_that_reach_it(logits, one, other):
    """A larger top_p keeps all that a smaller one keeps; without the last, it would not do."""
    few, many = (
        next_token_probabilities(logits, top_p=top_p) > 0
        for top_p in sorted([one, other])
    )
    assert (many | ~few).all()
    probabilities = next_token_probabilities(logits).double()
    for row, kept in zip(probabilities, few, strict=True):
        if not kept.all():
            assert row[kept].min() >= row[~kept].max()
        assert row[kept].sum() >= min(one, other) - 1e-5
        assert row[kept].sum() - row[kept].min() < min(one, other) + 1e-5


@given(logits(distinct=True), temperatures, top_ks, top_ps, seeds)
def test_a_vocabulary_has_no_order(logits, temperature, top_k, top_p, seed):
    order = permutation(seed, logits.shape[1])
    limits = temperature, top_k, top_p
    permuted = next_token_probabilities(logits[:, order], *limits)
    expected = next_token_probabilities(logits, *limits)[:, order]
    assert_close(permuted, expected, 1e-6)
    assert torch.equal(permuted > 0, expected > 0)


@given(logits(), temperatures, top_ks, top_ps)
def test_each_row_is_limited_by_itself(logits, temperature, top_k, top_p):
    """Alone or in a batch, it gives the same; a batch of rows upside down gives it upside down."""
    limits = temperature, top_k, top_p
    output = next_token_probabilities(logits, *limits)
    assert_close(
        next_token_probabilities(logits.flip(0), *limits).flip(0), output, 1e-6
    )
    for row, expected in zip(logits, output, strict=True):
        assert_close(next_token_probabilities(row[None], *limits)[0], expected, 1e-6)


@given(logits(), st.integers(-6, 6), top_ks)
def test_a_temperature_divides_the_logits(logits, power, top_k):
    """By a power of two exactly; a constant added to all logits changes nothing."""
    logits, temperature = logits.float(), 2.0**power
    divided = next_token_probabilities(logits / temperature, 1.0, top_k)
    assert torch.equal(next_token_probabilities(logits, temperature, top_k), divided)
    if top_k is None:
        shifted = next_token_probabilities(logits + 8, temperature)
        assert_close(shifted, divided, 1e-4)


@given(logits(), st.sampled_from([0.0, 5e-324, 1e-40, 1e-30]), seeds)
def test_at_temperature_0_and_towards_it_the_likeliest_gets_all(
    logits, temperature, seed
):
    """Greedy is argmax, the first of equals; drawn at a temperature of almost 0, one of them."""
    greedy = next_token_probabilities(logits, 0.0)
    first = logits.argmax(-1, keepdim=True)
    assert torch.equal(choose(logits, 0.0), first[:, 0])
    assert greedy.gather(-1, first).eq(1).all()
    assert greedy.sum(-1).eq(1).all()
    drawn = choose(logits, temperature, torch.Generator().manual_seed(seed))[:, None]
    assert torch.equal(logits.gather(-1, drawn), logits.gather(-1, first))


@given(logits(), temperatures, top_ks, top_ps, seeds)
def test_only_what_is_left_is_drawn(logits, temperature, top_k, top_p, seed):
    limits = temperature, torch.Generator().manual_seed(seed), top_k, top_p
    drawn = choose(logits, *limits)[:, None]
    left = next_token_probabilities(logits, temperature, top_k, top_p)
    assert left.gather(-1, drawn).gt(0).all()
