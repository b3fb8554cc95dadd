"""A function beside the kernel that has its names: who drifts apart is told."""

import pytest

from companion import show


def plan(x, n):
    wide = x
    total = 0
    length = len(wide)
    for i in range(n):
        part = x[i]
        total = total + part
    return total / length


def inner(total, x, n):
    for i in range(n):
        place = x + i
        part = place * 1
        total = total + part
    return total


def kernel(x, n, length):
    other = x
    total = 0
    if n:
        n = n + 0
    total = inner(total, other, n)
    total = inner(total, other, n)
    total = total / length
    print(total)


CHANGES = [("total", "a"), ("i", "b"), ("part", "c"), ("total", "d"), ("total", "e")]
WITHOUT = {"length": "an argument"}


def test_pairs_in_order():
    table = show.line_for_line(plan, kernel, inner, CHANGES, WITHOUT)
    lines = [line.split("  ")[0] for line in repr(table).splitlines()]
    assert lines[1:] == [
        "total = 0",
        "",
        "length = len(wide)",
        "for i in range(n):",
        "",
        "",
        "part = x[i]",
        "",
        "total = total + part",
        "",
        "return total / length",
        "",
    ]
    assert "  place = x + i" in repr(table)
    assert "only in the kernel" in repr(table)
    assert "other = x" not in repr(table)
    assert "total = total / length" in table._repr_html_()


def test_changes_for_other_names_are_refused():
    with pytest.raises(
        ValueError, match=r"plan assigns .*'part'.* changes are given for"
    ):
        show.line_for_line(plan, kernel, inner, CHANGES[:2], WITHOUT)


def renamed(total, x, n):
    for i in range(n):
        piece = x * i
        total = total + piece
    return total


def kernel_of_renamed(x, n, length):
    total = 0
    total = renamed(total, x, n)
    total = total / length


def test_a_name_that_the_kernel_has_lost_is_told():
    with pytest.raises(
        ValueError, match="'part' of plan is not assigned at this place"
    ):
        show.line_for_line(plan, kernel_of_renamed, renamed, CHANGES, WITHOUT)
