import torch

from companion import merge_heads, repeat_kv
from companion.exercises import check_merge_heads
from companion.exercises.graders.cases import check_cases, made


def doubling(x, n_rep):
    """Right, and it writes to what it is given."""
    result = repeat_kv(x, n_rep)
    x *= 2
    return result


def test_an_answer_has_tensors_of_its_own():
    x = torch.arange(4.0).view(1, 2, 2, 1)
    cases = {"once": (x, 2), "again": (x, 3)}
    assert check_cases(doubling, repeat_kv, cases) is None
    assert x.flatten().tolist() == [0, 1, 2, 3]


def test_a_copy_lies_in_memory_as_the_tensor_does():
    strides = []

    def noting(x):
        strides.append(x.stride())
        return merge_heads(x)

    assert check_merge_heads(noting).passed
    assert strides[1] == (60, 4, 12, 1)  # token by token


def test_a_mistake_that_refuses_the_arguments_is_left_out():
    wrong = {"twice": lambda x: 2 * x, "two rows": lambda x: x.view(2, -1)}
    assert set(made(wrong, torch.ones(3))) == {"twice"}


def test_a_mistake_of_another_shape_is_no_explanation():
    cases = {"three": (torch.ones(3),)}
    wrong = {"the first": lambda x: x[:1]}
    problem = check_cases(lambda x: x, lambda x: x + 1, cases, wrong)
    assert problem == "three: it is off by up to 1"
