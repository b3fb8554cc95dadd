import inspect
import re
from importlib import import_module

import pytest

from companion import exercises, show
from companion.exercises import CHAPTERS, FAULTS
from companion.exercises.lines import statement


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_keeps_the_shape_and_changes_the_numbers(name):
    wrong, right = FAULTS[name].run()
    assert wrong.shape == right.shape
    assert wrong.dtype == right.dtype
    assert (wrong.double() - right.double()).abs().max() > 5e-3


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_no_helper_is_in_the_gallery(chapter):
    text = inspect.getsource(import_module(f"companion.exercises.{chapter}"))
    entered = {name for name, fault in FAULTS.items() if fault.chapter == chapter}
    assert len(entered) == text.count("\n@imitates")  # no name twice
    defined = re.findall(r"^def (\w+)", text, re.MULTILINE)
    unused = {name for name in defined if len(re.findall(rf"\b{name}\b", text)) == 1}
    assert unused <= entered <= set(defined)


def test_every_fault_is_of_a_chapter():
    assert {fault.chapter for fault in FAULTS.values()} == set(CHAPTERS)


@pytest.mark.parametrize("name", FAULTS)
def test_its_grader_rejects_a_fault_in_words(name):
    grade = FAULTS[name].grade()
    assert not grade.passed
    assert FAULTS[name].grader in exercises.__all__
    assert not re.search("it raises|has shape|is torch", grade.message)


def squeezed(function):
    """Code without its spaces and commas, which breaking a line adds."""
    return re.sub(
        r"# wrong|[\s,]",
        "",
        function if isinstance(function, str) else source(function),
    )


def source(function):
    return inspect.getsource(inspect.unwrap(function))


@pytest.mark.parametrize("name", FAULTS)
def test_the_wrong_line_and_the_right_one_are_in_their_functions(name):
    fault = FAULTS[name]
    wrong, right = fault.marked_in or fault.wrong, fault.instead_of[0]
    assert source(wrong).count("# wrong") == 1
    assert squeezed(fault.wrong_line) in squeezed(wrong)
    assert squeezed(fault.right_line) in squeezed(right)
    assert squeezed(fault.wrong_line) not in squeezed(right)
    assert squeezed(fault.right_line) not in squeezed(wrong)


def test_a_line_is_found_or_refused():
    fault = FAULTS["no_scale"]
    assert (fault.wrong_line, fault.title) == (
        "scale = 1.0",
        "The scores are not divided by √head_dim",
    )
    assert statement(inner, lambda line: "if" in line) == "if x > 0:"
    assert statement(inner, lambda line: "key=" in line) == "return max(x, -x, key=abs)"
    with pytest.raises(ValueError, match="0 statements of inner"):
        statement(inner, lambda line: "no such" in line)
    with pytest.raises(ValueError, match="2 statements of inner"):
        statement(inner, lambda line: "x = " in line or "if" in line)


def inner(x):
    if x > 0:
        x = -x
    return max(
        x,
        -x,
        key=abs,
    )


def test_the_table_of_faults_tells_shape_and_error():
    table = show.what_goes_wrong("kv_tiled", "no_scale")
    assert all(row[1] == row[2] for row in table.rows)
    assert all(float(row[3]) > 0.1 for row in table.rows)
    [mask] = show.what_goes_wrong("mask_top_left").rows
    assert mask[3] == "6 of 10 entries"
    with pytest.raises(ValueError, match="no fault 'typo'"):
        show.what_goes_wrong("typo")


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_and_what_one_sees_are_told(name):
    fault = FAULTS[name]
    assert 4 < len(fault.title.split()) < 32
    assert 3 < len(fault.symptom.split()) < 40
    assert fault.symptom[0].isupper()
    assert fault.symptom.endswith(".")
    assert not fault.title.endswith(".")
    assert fault.paragraph(2) == ""
