import re

import pytest
import torch
import torch.nn.functional as F

from companion.exercises import check_attention_interface, hugging_face_mistakes
from companion.hugging_face.attention import (
    as_attention_interface,
    attention_interface,
)


def with_torch(module, query, key, value, attention_mask, scaling=None, **options):
    output = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attention_mask,
        is_causal=module.is_causal and attention_mask is None and query.shape[2] > 1,
        scale=scaling,
        enable_gqa=True,
    )
    return output.transpose(1, 2), None


@pytest.mark.parametrize(
    "right",
    [
        attention_interface,
        as_attention_interface(F.scaled_dot_product_attention),
        with_torch,
    ],
)
def test_the_right_answer(right):
    assert repr(check_attention_interface(right)) == "✓ right"


REJECTED = {
    "output_not_transposed": "^in a prefill of 4 tokens, mask None: The output keeps",
    "scaling_not_passed_on": "^in a prefill of 4 tokens, mask None: The scores are",
    "no_mask_means_everything": "^in a prefill of 4 .* every query sees every key",
    "one_query_top_left": "^in a decoding step, .* sees the first key alone",
    "last_query_sees_last_key": "^in a prefill of 3 tokens into a static .* empty places",
    "bool_mask_added": "^with a bool mask: A bool mask is added",
}


@pytest.mark.parametrize(("name", "reason"), REJECTED.items())
def test_each_mistake_is_named(name, reason):
    grade = check_attention_interface(getattr(hugging_face_mistakes, name))
    assert not grade.passed
    assert re.search(reason, grade.message)


def always_causal(module, *rest):
    module.is_causal = True
    return attention_interface(module, *rest)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda *given: attention_interface(*given)[0], "returned a Tensor"),
        (lambda *given: (None, None), "not a tensor"),
        (lambda *given: (torch.zeros(2, 4, 4, 8), None), "off by up to"),
        (lambda *given: (torch.zeros(2, 4, 32), None), "has shape"),
        (always_causal, "for a module that is not causal"),
        (lambda module, query: query, "raises TypeError"),
    ],
)
def test_other_wrong_answers(answer, reason):
    grade = check_attention_interface(answer)
    assert not grade.passed
    assert reason in grade.message
