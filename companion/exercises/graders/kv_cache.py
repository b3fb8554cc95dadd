"""The graders of decoding with a key/value cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.cache import KVCache
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import check_tensor, gap, graded
from companion.exercises.kv_cache import decode_arguments, small_model
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
