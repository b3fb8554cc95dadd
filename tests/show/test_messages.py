"""What calls say: their code as it is written, their error or their result's shape."""

import torch

from companion.show import messages


def test_a_call_its_error_and_its_result():
    shown = messages(
        lambda: torch.zeros(2, 3) @ torch.zeros(2, 3),
        lambda: max([1], key=lambda size: -size),
        lambda: torch.zeros(2, 3).mT,
    )
    assert [[str(cell) for cell in row] for row in shown.rows] == [
        [
            "torch.zeros(2, 3) @ torch.zeros(2, 3)",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
        ],
        ["max([1], key=lambda size: -size)", "no error: 1"],
        ["torch.zeros(2, 3).mT", "no error: Tensor of shape (3, 2)"],
    ]


def test_a_line_counts_them():
    shown = messages(lambda: len("ab"), lambda: len(3))
    assert (
        'data-summary="2 calls: 1 refused, 1 without an error"' in shown._repr_html_()
    )


def test_two_calls_on_one_line():
    shown = messages(lambda: len("ab"), lambda: len(3))  # fmt: skip
    assert [str(row[0]) for row in shown.rows] == ["len('ab')", "len(3)"]
    assert shown.rows[1][1] == "TypeError: object of type 'int' has no len()"
