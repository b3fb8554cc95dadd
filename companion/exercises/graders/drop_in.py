"""The graders of an attention function for Hugging Face's models, and of its masks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.exercises.drop_in import PADDED, call, output_of, right_output
from companion.exercises.gallery import mistaken
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.masks import causal_mask

# What their models hand over, by situation.
CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "in a prefill of 4 tokens, mask None": lambda: call(4, 4),
    "in a decoding step, one query and 5 keys, mask None": lambda: call(1, 5),
    "in a prefill of 3 tokens into a static cache of 6, mask None": lambda: call(3, 6),
    "with a bool mask": lambda: call(4, 4, PADDED),
    "for a module that is not causal, mask None": lambda: call(4, 4, is_causal=False),
}


@graded
def check_attention_interface(interface: Callable[..., Any]) -> str | None:
    """Grade `interface(module, query, key, value, attention_mask, scaling=None,
    dropout=0.0, **options)`, which returns (output (batch, q_len, heads, head_dim),
    None).
    """
    answer = interface(*call(2, 5))
    if not isinstance(answer, tuple) or len(answer) != 2:
        return (
            f"it returned a {type(answer).__name__}; their modules unpack (output, "
            "weights or None)"
        )
    for situation, arguments in CALLS.items():
        output = output_of(interface)(*arguments())
        expected = right_output(*arguments())
        if problem := check_tensor(f"{situation}, the output", output, expected):
            return problem
        known = {
            title: wrong
            for title, wrong in mistaken(right_output, *arguments()).items()
            if wrong.shape == expected.shape
        }
        if problem := check_numbers(output, expected, known):
            return f"{situation}: {problem}"
    return None


@graded
def check_additive_mask(additive: Callable[..., Tensor]) -> str | None:
    """Grade `additive(mask, dtype)`: a bool mask, True = may attend, of any shape, becomes one
    that is added to scores of that dtype, 0 where a query may attend.
    """
    nothing_seen = torch.tensor([[True, False, False], [False, False, False]])
    for mask in (PADDED, nothing_seen):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            answer = additive(mask.clone(), dtype)
            problem = check_tensor("the mask", answer, mask.to(dtype))
            if problem or (problem := check_bias(answer, mask)):
                return f"in {dtype}: {problem}"
    return None


def check_bias(answer: Tensor, mask: Tensor) -> str | None:
    """Whether it hides what the bool mask hides, and nothing else."""
    if answer.isnan().any():
        return "it holds NaN: 0 · -inf is no number, so fill in and do not multiply"
    if ((answer == 0) | (answer == 1)).all():
        return "it is 1 and 0: to hide a score something very negative is added to it"
    if ((answer == 0) == ~mask).all():
        return "it is upside down: True means may attend, which adds 0"
    if (answer[mask] != 0).any():
        return "where a query may attend 0 is added"
    if answer.isneginf().any():
        return (
            "it holds -inf: a query that sees nothing gets a softmax over -inf alone, NaN; "
            "the dtype's lowest number leaves it finite"
        )
    if (answer[~mask] > -1e4).any():
        return f"{answer[~mask].max().item():g} is too little to hide a score"
    return None


@graded
def check_who_sees_whom(seen: Callable[[int, int, int], Tensor]) -> str | None:
    """Grade `seen(past, q_len, kv_len)`: the bool mask (q_len, kv_len), True = may attend, that
    None stands for, when `past` tokens were cached before and `q_len` are new.
    """
    for past, q_len, kv_len in ((0, 5, 5), (4, 1, 5), (0, 5, 8), (4, 1, 8), (3, 2, 8)):
        keys, queries = torch.arange(kv_len), past + torch.arange(q_len)
        expected = keys <= queries[:, None]
        answer = seen(past, q_len, kv_len)
        where = f"past {past}, q_len {q_len}, kv_len {kv_len}"
        if problem := check_tensor(f"{where}, the mask", answer, expected):
            return problem
        everything = torch.ones_like(expected)
        known = {
            "it is upside down: True means may attend": ~expected,
            "it begins at key 0, and the new tokens stand behind those in the cache": (
                everything.tril()
            ),
            "the last query is put at the last key, which in a static cache is empty": (
                causal_mask(q_len, kv_len)
            ),
            "a query sees its own token too": keys < queries[:, None],
            "new tokens see those after them": everything & (keys < past + q_len),
            "every query sees every slot, the empty ones too": everything,
        }
        mistakes = [name for name, mask in known.items() if torch.equal(answer, mask)]
        if not torch.equal(answer, expected):
            wrong = int((answer != expected).sum())
            return f"{where}: {'; or: '.join(mistakes) or f'{wrong} entries are wrong'}"
    return None
