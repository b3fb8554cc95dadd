"""The graders of decoding with a key/value cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.cache import KVCache
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import check_tensor, gap, graded, same
from companion.exercises.kv_cache import decode_arguments, small_model
from companion.exercises.steps import room_for
from companion.model import LlamaForCausalLM


@graded
def check_decode_step(decode_step: Callable[..., Tensor]) -> str | None:
    """Grade `decode_step(model, token, cache)`: logits (batch, vocab) after the token."""
    model = small_model()
    ids = torch.tensor([[1, 5, 2, 7, 3]])
    with torch.inference_mode():
        expected = model(ids)[:, -1]
        cache = KVCache(model.config, batch_size=1, max_length=8)
        model(ids[:, :4], past_key_values=cache)
        answer = decode_step(model, ids[:, 4:], cache)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if cache.length != 5:
        return f"after the step the cache holds {cache.length} tokens, not 5"
    if torch.allclose(answer, expected, atol=1e-3):
        return None
    return (
        f"the logits are off by up to {gap(answer, expected)}: the token stands at "
        "position 4, behind the four in the cache"
    )


@graded
def check_decoding(decoding: Callable[..., Tensor]) -> str | None:
    """Grade `decoding(model, input_ids)`: the logits of every token of (batch, length), each
    run alone against a cache.
    """
    model, input_ids = decode_arguments()
    cases = {
        "with one token": (model, input_ids[:, :1]),
        "with five tokens": (model, input_ids),
        "with two rows of four": (model, torch.tensor([[1, 5, 2, 7], [8, 0, 4, 6]])),
    }
    with torch.inference_mode():
        return check_cases(decoding, LlamaForCausalLM.forward, cases)


@graded
def check_draft(checked: Callable[..., list[int]]) -> str | None:
    """Grade `checked(model, last, draft, cache)`: the ids that greedy decoding writes after
    `last`, in one call of the model with all guesses, and a cache without the rejected ones.
    """
    model, ids = decode_arguments()
    with torch.inference_mode():
        written = greedy(model, ids, 4)
        for right in (1, 0, 3, 2):
            draft = torch.tensor([written[:3]])
            draft[0, right:] = (draft[0, right:] + 1) % model.config.vocab_size
            problem = check_guesses(checked, model, ids, draft, written[: right + 1])
            if problem:
                return f"with {right} of 3 guesses right: {problem}"
    return None


def greedy(model: LlamaForCausalLM, ids: Tensor, new_tokens: int) -> list[int]:
    """The likeliest tokens after `ids`, one after the other."""
    written: list[int] = []
    for _ in range(new_tokens):
        text = torch.cat([ids, ids.new_tensor([written])], dim=-1)
        written.append(int(model(text)[0, -1].argmax()))
    return written


def check_guesses(
    checked: Callable[..., list[int]],
    model: LlamaForCausalLM,
    ids: Tensor,
    draft: Tensor,
    expected: list[int],
) -> str | None:
    """What is wrong with the answer for one draft, if anything is."""
    cache, calls = room_for(model, 1, 16), []
    model(ids[:, :-1], past_key_values=cache)
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        answer = [int(token) for token in checked(model, ids[:, -1:], draft, cache)]
    finally:
        hook.remove()
    if len(calls) > 1:
        return f"the model is called {len(calls)} times, and should be once"
    if problem := check_ids(answer, expected, draft):
        return problem
    return check_left(model, cache, ids.shape[1] + len(expected) - 1, ids, expected)


def check_ids(answer: list[int], expected: list[int], draft: Tensor) -> str | None:
    """Whether these are the ids that the model itself would write."""
    if answer == expected:
        return None
    if answer == expected[:-1]:
        return "the model's own choice after the accepted guesses is missing"
    if answer == draft[0].tolist():
        return "all guesses are accepted, those too that the model would not choose"
    if len(answer) > len(expected) and answer[: len(expected)] == expected:
        return (
            "it goes on after the first rejected guess: what the model chooses there "
            "follows a token that is not in the text"
        )
    return f"it returned {answer}, and greedy decoding writes {expected}"


def check_left(
    model: LlamaForCausalLM,
    cache: KVCache,
    length: int,
    ids: Tensor,
    written: list[int],
) -> str | None:
    """Whether the cache holds the text but for its last id, and nothing else."""
    if cache.length > length:
        return (
            f"the cache holds {cache.length} tokens, and should hold {length}: the "
            "rejected guesses are still in it"
        )
    if cache.length < length:
        return (
            f"the cache holds {cache.length} tokens, and should hold {length}: `last` and "
            "the accepted guesses are text, and stay"
        )
    text = torch.cat([ids, ids.new_tensor([written])], dim=-1)
    following = model(text[:, -1:], past_key_values=cache)[:, -1]
    if same(following, model(text)[:, -1]):
        return None
    return "the cache holds as many tokens as it should, and other ones than the text"
