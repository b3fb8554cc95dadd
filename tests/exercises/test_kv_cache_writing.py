"""What the graders of cached attention and of guesses accept, and what they say of the rest."""

import pytest
import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion.exercises import check_cached_attention, check_draft
from companion.exercises.graders import cached_attention
from companion.exercises.graders.cached_attention import WRONG, attended
from companion.rope import apply_rope


def with_torch(query, key, value, cos, sin, keys, values):
    q, k = (x * cos[:, None] + half_turned(x) * sin[:, None] for x in (query, key))
    keys, values = torch.cat([keys, k], 2), torch.cat([values, value], 2)
    mask = torch.ones(q.shape[2], keys.shape[2]).bool().tril(keys.shape[2] - q.shape[2])
    return F.scaled_dot_product_attention(q, keys, values, mask), keys, values


def half_turned(x):
    return torch.cat([-x[..., 4:], x[..., :4]], dim=-1)


def token_by_token(query, key, value, cos, sin, keys, values):
    outputs = []
    for i in range(query.shape[2]):
        one = slice(i, i + 1)
        new = (x[:, :, one] for x in (query, key, value))
        output, keys, values = attended(*new, cos[:, one], sin[:, one], keys, values)
        outputs.append(output)
    return torch.cat(outputs, dim=2), keys, values


def newest_first(query, key, value, cos, sin, keys, values):
    """The keys in another order, which no sum over them sees."""
    keys = torch.cat([apply_rope(key, cos, sin).flip(2), keys], dim=2)
    values = torch.cat([value.flip(2), values], dim=2)
    query, q_len, kv_len = apply_rope(query, cos, sin), query.shape[2], keys.shape[2]
    mask = torch.ones(q_len, kv_len).bool().tril(kv_len - q_len).flip(1)
    return F.scaled_dot_product_attention(query, keys, values, mask), keys, values


test_accepts_cached = accepts(
    check_cached_attention, attended, with_torch, token_by_token, newest_first
)


@pytest.mark.parametrize("title", WRONG)
def test_a_mistake_is_named(title):
    grade = check_cached_attention(WRONG[title])
    assert not grade.passed
    assert title in grade.message


test_rejects_cached = rejects(
    check_cached_attention,
    (lambda *given: attended(*given)[0], "three tensors"),
    (lambda *given: attended(*given[:5], *given[1:3]), "the keys has shape|keys has"),
    (lambda *given: (2 * attended(*given)[0], *attended(*given)[1:]), "off by up to"),
    (
        lambda *given: (attended(*given)[0][:, :1], *attended(*given)[1:]),
        "the output has shape",
    ),
)


def test_the_calls_are_a_prompt_and_steps_too():
    assert {sum(calls) for calls in cached_attention.RUNS} == {6}


def checked(model, last, draft, cache):
    before = cache.length
    logits = model(torch.cat([last, draft], dim=-1), past_key_values=cache)
    chosen = logits[0].argmax(dim=-1).tolist()
    accepted = 0
    while accepted < draft.shape[1] and draft[0, accepted] == chosen[accepted]:
        accepted += 1
    cache.crop(before + 1 + accepted)
    return chosen[: accepted + 1]


def without_a_loop(model, last, draft, cache):
    text = torch.cat([last, draft], dim=-1)
    chosen = model(text, past_key_values=cache).argmax(dim=-1)
    right = (chosen[:, :-1] == draft).long().cumprod(-1).sum().item()
    cache.crop(cache.length - draft.shape[1] + right)
    return chosen[0, : right + 1]


def one_too_few(model, last, draft, cache):
    written = checked(model, last, draft, cache)
    cache.crop(cache.length - 1)
    return written


def not_cropped(model, last, draft, cache):
    written = checked(model, last, draft, cache)
    cache.lengths = [4 + 1 + draft.shape[1]] * len(cache.lengths)
    return written


def called_for_each(model, last, draft, cache):
    for token in torch.cat([last, draft], dim=-1).split(1, dim=1)[:-1]:
        model(token, past_key_values=cache)
    cache.crop(4)
    return checked(model, last, draft, cache)


def all_chosen(model, last, draft, cache):
    before = cache.length
    written = model(torch.cat([last, draft], -1), past_key_values=cache)[0].argmax(-1)
    cache.crop(before + 1)
    return written.tolist()


def one_row_late(model, last, draft, cache):
    chosen = model(torch.cat([last, draft], -1), past_key_values=cache)[0].argmax(-1)
    right = (chosen[1:] == draft[0]).long().cumprod(-1).sum().item()
    return chosen[1 : right + 2].tolist()


def other_tokens(model, last, draft, cache):
    written = checked(model, last, draft, cache)
    cache.keys[..., 4, :] = 1.0
    return written


test_accepts_draft = accepts(
    check_draft, checked, without_a_loop, lambda *given: tuple(checked(*given))
)

test_rejects_draft = rejects(
    check_draft,
    (not_cropped, "^with 1 of 3 .* holds 8 tokens, and should hold 6: the rejected"),
    (one_too_few, "holds 5 tokens, and should hold 6: `last` and"),
    (lambda *given: checked(*given)[:-1], "own choice after the accepted"),
    (lambda m, last, d, c: checked(m, last, d, c) and d[0].tolist(), "all guesses are accepted"),
    (all_chosen, "after the first rejected"),
    (one_row_late, "greedy decoding writes"),
    (called_for_each, "called 4 times"),
    (other_tokens, "other ones than the text"),
    (lambda *given: None, "raises TypeError"),
)  # fmt: skip
