import re

import pytest
import torch

from companion.exercises import check_quantize_groups


def answer(weight, *, largest=None, top=127, turn=torch.round, tiny=1e-12):
    groups = weight.unflatten(-1, (-1, 32))
    size = (largest or (lambda g: g.abs().amax(dim=-1)))(groups)
    scale = (size / top).clamp(min=tiny) if tiny else size / top
    steps = turn(groups / scale[..., None]).clamp(-128, 127)
    return steps.nan_to_num(0).flatten(1).to(torch.int8), scale


def test_the_right_answer_passes():
    assert repr(check_quantize_groups(answer)) == "✓ right"


def test_any_scale_of_a_group_of_zeros_and_any_way_of_a_tie_pass():
    assert check_quantize_groups(lambda w: answer(w, tiny=None)).passed
    assert check_quantize_groups(
        lambda w: answer(w, turn=lambda steps: (steps + 0.5).floor())
    ).passed


def per_row(weight):
    scale = weight.abs().amax(dim=-1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def steps_of(weight, order):
    quantized, scale = answer(weight)
    return order(quantized), scale


def of_row(groups):
    return groups.abs().amax(dim=(-1, -2))[:, None].expand(-1, groups.shape[1])


def of_matrix(groups):
    return groups.abs().amax().expand(groups.shape[:2])


def zeros_are_one(weight):
    quantized, scale = answer(weight)
    quantized[2, :32] = 1
    return quantized, scale


REJECTED = [
    (lambda w: answer(w, largest=lambda g: g.amax(-1).abs()), "takes the largest number"),
    (lambda w: answer(w, largest=lambda g: g.amax(-1) - g.amin(-1), top=255), "the spread"),
    (lambda w: answer(w, largest=of_row), "the largest of a whole row"),
    (lambda w: answer(w, largest=of_matrix), "the largest of the matrix"),
    (lambda w: answer(w, top=128), "128 is no int8"),
    (lambda w: answer(w, top=255), "255 is no int8"),
    (lambda w: answer(w, top=100), "^scale: it is off by"),
    (lambda w: (answer(w)[0], 1 / answer(w)[1]), "one over that"),
    (lambda w: (answer(w)[0], 127 * answer(w)[1]), "not yet divided by 127"),
    (lambda w: (answer(w)[0], answer(w)[1] / torch.zeros(6, 3)), "not finite"),
    (lambda w: answer(w, turn=torch.trunc), "cut off, not rounded"),
    (lambda w: steps_of(w, lambda q: q.view(6, 3, 32).flip(-1).view(6, 96)), r"\d\d% of the weights"),
    (zeros_are_one, "0 / 0 is no number"),
    (per_row, r"^scale has shape \(6,\)"),
    (lambda w: (answer(w)[0].float(), answer(w)[1]), "^int8 is torch.float32"),
    (lambda w: (answer(w)[0], answer(w)[1].double()), "^scale is torch.float64"),
    (lambda w: answer(w)[0], "returned a Tensor: it should be two"),
    (lambda w: w.missing, "it raises AttributeError"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "says"), REJECTED)
def test_the_grader_says_what_is_wrong(wrong, says):
    grade = check_quantize_groups(wrong)
    assert not grade.passed
    assert re.search(says, grade.message), grade.message
