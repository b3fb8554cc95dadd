"""The mistakes in the causal mask."""

from functools import partial

import torch
from torch import Tensor

from companion.exercises.adapters import hidden_keys, mask_of_a_model
from companion.exercises.gallery import imitates
from companion.exercises.planting import Planted
from companion.exercises.writing import cached
from companion.masks import causal_mask, may_attend

# The first of these hides keys from the prompt's queries, the second from a decode step's.
BOTH_MASKS = Planted(
    {
        "companion.attention.later": hidden_keys,
        "companion.model.causal_mask": mask_of_a_model,
    },
    write=cached,
)
imitates_mask = partial(
    imitates, causal_mask, grader="check_causal_mask", planted=BOTH_MASKS
)


@imitates_mask(lambda: (5, None), instead_of=(may_attend, "<="))
def mask_off_by_one(q_len: int, kv_len: int | None = None) -> Tensor:
    """A query sees only the keys before it (<), not itself (<=).

    NaN from the first token on: the first query sees no key, and its softmax is 0/0.
    """
    key_pos = torch.arange(kv_len or q_len)
    return key_pos < key_pos[-q_len:, None]  # wrong


@imitates_mask(lambda: (2, 5), instead_of=(causal_mask, "kv_len - q_len"))
def mask_top_left(q_len: int, kv_len: int | None = None) -> Tensor:
    """The triangle starts at key 0 although the queries come after a cache.

    The prompt and the first new token are right. From then on each token reads the
    first key alone, and soon one is repeated for ever.
    """
    key_pos = torch.arange(kv_len or q_len)
    return may_attend(key_pos[:q_len], key_pos)  # wrong


@imitates_mask(lambda: (5, None), instead_of=(causal_mask, "kv_len - q_len"))
def mask_reversed(q_len: int, kv_len: int | None = None) -> Tensor:
    """True above the diagonal: a query sees the future and not the past.

    NaN from the first token on: the last query sees no key, and its softmax is 0/0.
    """
    return ~causal_mask(q_len, kv_len)  # wrong
