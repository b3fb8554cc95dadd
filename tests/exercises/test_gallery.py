import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from companion import exercises, show
from companion.exercises import FAULTS


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_keeps_the_shape_and_changes_the_numbers(name):
    wrong, right = FAULTS[name].run()
    assert wrong.shape == right.shape
    assert wrong.dtype == right.dtype
    assert (wrong.double() - right.double()).abs().max() > 5e-3


CHAPTERS = [
    path.stem for path in sorted(Path(exercises.__file__).parent.glob("[a-z]*.py"))
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_no_helper_and_no_grader_is_in_the_gallery(chapter):
    module = import_module(f"companion.exercises.{chapter}")
    text = inspect.getsource(module)
    entered = {
        n for n, each in FAULTS.items() if each.wrong.__module__ == module.__name__
    }
    assert len(entered) == text.count("\n@imitates")  # no name twice
    defined = re.findall(r"^def (\w+)", text, re.MULTILINE)
    unused = {name for name in defined if len(re.findall(rf"\b{name}\b", text)) == 1}
    graders = {name for name in exercises.__all__ if name.startswith("check_")}
    if chapter not in ("gallery", "grading"):
        assert unused - graders <= entered <= set(defined)


def test_the_table_of_faults_tells_shape_and_error():
    table = show.what_goes_wrong("kv_tiled", "no_scale")
    assert all(row[1] == row[2] for row in table.rows)
    assert all(float(row[3]) > 0.1 for row in table.rows)
    [mask] = show.what_goes_wrong("mask_top_left").rows
    assert mask[3] == "6 of 10 entries"
    with pytest.raises(ValueError, match="no fault 'typo'"):
        show.what_goes_wrong("typo")
