"""Graders for the exercises on the key/value cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.cache import KVCache
from companion.exercises.decoding import small_model
from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    gap,
    graded,
    wrong,
)


@graded
def check_decode_step(decode_step: Callable[..., Tensor]) -> Grade:
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
        return wrong(f"after the step the cache holds {cache.length} tokens, not 5")
    if torch.allclose(answer, expected, atol=1e-3):
        return RIGHT
    return wrong(
        f"the logits are off by up to {gap(answer, expected)}: the token stands at "
        "position 4, behind the four in the cache"
    )
