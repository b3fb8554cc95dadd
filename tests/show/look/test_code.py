"""The look goes out once a kernel, and in Colab, whose outputs are apart, each time."""

import json
import sys
from types import ModuleType

import pytest

from companion.show.look import code
from companion.show.look.palette import ALSO, AXES
from companion.show.look.stylesheet import rules


@pytest.fixture(autouse=True)
def fresh_kernel(monkeypatch):
    monkeypatch.setattr(code, "SENT", set())


def test_once_a_kernel():
    assert code.look_once().startswith("<style data-look>:root")
    assert code.look_once() == ""
    first = code.script_once("attention-explorer")
    assert first.count("<script data-look>") == 2
    assert code.script_once("attention-explorer") == ""


def test_in_colab_always(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert code.look_once() == code.look_once() != ""
    assert code.script_once("attention-explorer") == code.script_once(
        "attention-explorer"
    )


def test_what_all_figures_share_goes_out_with_the_first_of_them():
    code.once("attention-explorer", "sent")
    assert code.script_once("attention-explorer").count("<script data-look>") == 1


def test_placeholders_of_the_script_are_filled():
    filled = code.script("figure")
    assert 'const LOOK = "";' not in filled
    assert "const LETTERS = {};" not in filled
    assert f"const LOOK = {json.dumps(rules())};" in filled
    letters = {name: axis.letter for name, axis in {**AXES, **ALSO}.items()}
    assert f"const LETTERS = {json.dumps(letters)};" in filled
