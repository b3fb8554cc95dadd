"""The graders of a padded batch: its ids and mask, its positions, and its next tokens."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from companion.exercises.gallery import random
from companion.exercises.graders.grading import check_tensor, graded

END = 2  # the token that pads, and also ends a turn inside a prompt

PROMPTS = {
    "three prompts": [[5, 6, 7], [8, 9, 10, 11, 12], [13]],
    "a prompt in which the token that pads occurs": [[1, 5, END, 6], [7, 8]],
    "two prompts of one length": [[5, 6, 7], [8, 9, 10]],
}


@graded
def check_batch(
    batch: Callable[[Sequence[Sequence[int]], int], tuple[Tensor, Tensor]],
) -> str | None:
    """Grade `batch(encoded, pad)`: lists of ids → input_ids and attention_mask, both
    (prompts, longest), padded on the left.
    """
    for where, encoded in PROMPTS.items():
        answer = batch([list(ids) for ids in encoded], END)
        if not isinstance(answer, tuple) or len(answer) != 2:
            return "it should return two tensors, input_ids and attention_mask"
        problem = check_padded(encoded, *answer)
        if problem:
            return f"{where}: {problem}"
    return None


def check_padded(
    encoded: list[list[int]], input_ids: Tensor, mask: Tensor
) -> str | None:
    """What is wrong with the ids and the mask of these prompts, if anything is."""
    longest = max(map(len, encoded))
    expected = torch.tensor([[END] * (longest - len(ids)) + ids for ids in encoded])
    ones = torch.tensor([[0] * (longest - len(i)) + [1] * len(i) for i in encoded])
    right = torch.tensor([ids + [END] * (longest - len(ids)) for ids in encoded])
    if problem := check_tensor("input_ids", input_ids, expected):
        return problem
    if torch.equal(input_ids, right) and not torch.equal(right, expected):
        return (
            "the padding is on the right: the last column of a short prompt is no token"
        )
    if not torch.equal(input_ids, expected):
        return f"input_ids are {input_ids.tolist()}; they should be {expected.tolist()}"
    return check_ones(mask, ones, expected)


def check_ones(mask: Tensor, ones: Tensor, input_ids: Tensor) -> str | None:
    """What is wrong with the mask of a batch, if anything is."""
    if not isinstance(mask, Tensor) or mask.is_floating_point():
        return "attention_mask should be a tensor of integers, or bool"
    if problem := check_tensor("attention_mask", mask.long(), ones):
        return problem
    if torch.equal(mask.long(), ones):
        return None
    if torch.equal(mask.long(), 1 - ones):
        return "attention_mask is 1 for a real token and 0 for padding, not the reverse"
    if torch.equal(mask.bool(), input_ids != END):
        return (
            "the mask hides a token of the prompt because its id is that of the padding: "
            "the lengths of the prompts say what is padding"
        )
    return f"attention_mask is {mask.tolist()}; it should be {ones.tolist()}"


MASKS = {
    "padding on the left": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]],
    "padding on the right": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
    "no padding": [[1, 1, 1]],
}


@graded
def check_position_ids(positions: Callable[[Tensor], Tensor]) -> str | None:
    """Grade `positions(attention_mask)`: for each real token the number of real tokens
    before it, for padding any integer. attention_mask is (batch, length).
    """
    for where, rows in MASKS.items():
        mask = torch.tensor(rows)
        expected, answer = mask.cumsum(-1) - 1, positions(mask.clone())
        if problem := check_tensor(f"{where}, the result", answer, expected):
            return problem
        real = mask.bool()
        if torch.equal(answer[real], expected[real]):
            continue
        if torch.equal(answer[real], torch.arange(mask.shape[1]).expand_as(mask)[real]):
            return f"{where}: the padding is counted: these are columns, not positions"
        if torch.equal(answer[real], expected[real] + 1):
            return f"{where}: the first token of a text is at position 0, not at 1"
        return f"{where}: for {rows[0]} the answer is {answer[0].tolist()}"
    return None


@graded
def check_next_tokens(chosen: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """Grade `chosen(logits, attention_mask)`: the likeliest token after the last real one
    of each prompt, (batch), from logits (batch, length, vocab).
    """
    for where, rows in MASKS.items():
        mask = torch.tensor(rows)
        logits = random(*mask.shape, 50)
        last = [max(i for i, real in enumerate(row) if real) for row in rows]
        each, table = torch.arange(len(rows)), logits.argmax(-1)
        expected, answer = table[each, last], chosen(logits.clone(), mask.clone())
        if problem := check_tensor(f"{where}, the result", answer, expected):
            return problem
        if torch.equal(answer, expected):
            continue
        if torch.equal(answer, table[:, -1]):
            return f"{where}: the last column is padding for some prompts"
        if torch.equal(answer, table[each, mask.sum(-1) - 1]):
            return (
                f"{where}: as many real tokens as a prompt has do not say where the last one "
                "is: padding before them moves it"
            )
        return f"{where}: the tokens are {answer.tolist()}, not {expected.tolist()}"
    return None
