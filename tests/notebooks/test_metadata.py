"""Every notebook of the book was run from top to bottom, and stores nothing of the machine that ran it.

nbval passes a notebook that was never run, and skips marked cells: these checks close that gap.
"""

import json
import re
from copy import deepcopy

import pytest
import toc

LOCAL_PATH = re.compile(
    r"(?<![\w.])(?:/work|/tmp|/home|/root|/Users|/content)/|site-packages|[A-Z]:\\\\"
)
# What a cell is for, which book/_ext/cells.py folds by, and Jupyter by the metadata beside it.
KINDS = {"setup", "check", "source", "figure", "solution"}
OTHER_TAGS = {"remove-cell", "remove-input", "raises-exception", "columns"}
UNCHECKED = {"nbval-skip", "nbval-ignore-output", "NBVAL_SKIP", "NBVAL_IGNORE_OUTPUT"}


def code_cells(notebook):
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def not_run_in_order(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    return (
        []
        if counts == [*range(1, len(counts) + 1)]
        else [f"execution counts are {counts}: make notebooks"]
    )


def writes_to_stderr(notebook):
    return [
        f"cell {cell['execution_count']} wrote to stderr: {''.join(output['text'])[:200]}"
        for cell in code_cells(notebook)
        for output in cell["outputs"]
        if output.get("name") == "stderr"
    ]


def unchecked(notebook):
    return [
        f"cell {cell['execution_count']} is kept from nbval"
        for cell in code_cells(notebook)
        if tags(cell) & UNCHECKED
        or any(mark in "".join(cell["source"]) for mark in UNCHECKED)
    ]


def unexpected_errors(notebook):
    return [
        f"cell {cell['execution_count']} raised {output['ename']} and is not tagged raises-exception"
        for cell in code_cells(notebook)
        for output in cell["outputs"]
        if output["output_type"] == "error" and "raises-exception" not in tags(cell)
    ]


def expected_errors_missing(notebook):
    return [
        f"cell {cell['execution_count']} is tagged raises-exception and raised nothing"
        for cell in code_cells(notebook)
        if "raises-exception" in tags(cell)
        and all(out["output_type"] != "error" for out in cell["outputs"])
    ]


def local_paths(notebook):
    return [
        f"cell {cell['execution_count']} shows a path of the machine that ran it: {found.group()}"
        for cell in code_cells(notebook)
        if (found := LOCAL_PATH.search(json.dumps(cell["outputs"])))
    ]


def timestamps(notebook):
    return [
        f"cell {n} stores when it ran"
        for n, cell in enumerate(notebook["cells"])
        if "execution" in cell["metadata"]
    ]


def other_kernel(notebook):
    name = notebook["metadata"].get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"the kernel is {name}, not python3"]


def unknown_kinds(notebook):
    return [
        f"cell {cell['execution_count']} has the tags {sorted(tags(cell))}: one of {sorted(KINDS)}, or none"
        for cell in code_cells(notebook)
        if len(tags(cell) & KINDS) > 1 or tags(cell) - KINDS - OTHER_TAGS - UNCHECKED
    ]


def folded_otherwise_in_jupyter(notebook):
    """A cell that is no lesson is folded there too."""
    folds = KINDS | {"remove-cell", "remove-input"}
    return [
        f"cell {cell['execution_count']}, {sorted(tags(cell))}, needs jupyter.source_hidden as its tags say"
        for cell in code_cells(notebook)
        if bool(tags(cell) & folds)
        != cell["metadata"].get("jupyter", {}).get("source_hidden", False)
    ]


def solutions_that_show(notebook):
    """Its output would give it away in Jupyter."""
    return [
        f"cell {cell['execution_count']} is a solution and needs jupyter.outputs_hidden"
        for cell in code_cells(notebook)
        if "solution" in tags(cell)
        and not cell["metadata"].get("jupyter", {}).get("outputs_hidden")
    ]


def sources_that_do_more(notebook):
    return [
        f"cell {cell['execution_count']} is tagged source and is no show.source(...)"
        for cell in code_cells(notebook)
        if "source" in tags(cell)
        and not re.fullmatch(r"show\.source\([^()]*\)", "".join(cell["source"]).strip())
    ]


def imports_in_a_lesson(notebook):
    """Two at most, of what the lesson is about."""
    return [
        f"cell {cell['execution_count']} imports at length: that is set-up"
        for cell in code_cells(notebook)
        if not tags(cell) & {"setup", "remove-cell"}
        and len(re.findall(r"^(?:import|from) ", "".join(cell["source"]), re.M)) > 2
    ]


CHECKS = [
    unknown_kinds,
    folded_otherwise_in_jupyter,
    solutions_that_show,
    sources_that_do_more,
    imports_in_a_lesson,
    not_run_in_order,
    writes_to_stderr,
    unchecked,
    unexpected_errors,
    expected_errors_missing,
    local_paths,
    timestamps,
    other_kernel,
]


@pytest.mark.parametrize("path", toc.notebooks())
def test_notebook(path):
    notebook = json.loads((toc.ROOT / path).read_text())
    assert not [problem for check in CHECKS for problem in check(notebook)]


def test_every_notebook_is_in_the_book():
    stored = {
        str(path.relative_to(toc.ROOT)) for path in (toc.ROOT / "book").glob("*.ipynb")
    }
    assert stored == set(toc.notebooks())


def cell(count, outputs=(), source="x", **metadata):
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": metadata,
        "outputs": list(outputs),
        "source": [source],
    }


def stream(text, name="stdout"):
    return [{"output_type": "stream", "name": name, "text": [text]}]


GOOD = {
    "metadata": {"kernelspec": {"name": "python3"}},
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["Text"]},
        cell(1, stream("(2, 4) and/or /tmpfs\n")),
        cell(
            2,
            [{"output_type": "error", "ename": "ValueError"}],
            tags=["raises-exception"],
        ),
    ],
}


def with_cell(bad):
    notebook = deepcopy(GOOD)
    notebook["cells"].append(bad)
    return notebook


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_notebook_passes(check):
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("check", "notebook"),
    [
        (unknown_kinds, with_cell(cell(3, tags=["hide-input"]))),
        (
            unknown_kinds,
            with_cell(
                cell(3, tags=["check", "setup"], jupyter={"source_hidden": True})
            ),
        ),
        (folded_otherwise_in_jupyter, with_cell(cell(3, tags=["check"]))),
        (
            folded_otherwise_in_jupyter,
            with_cell(cell(3, jupyter={"source_hidden": True})),
        ),
        (
            solutions_that_show,
            with_cell(cell(3, tags=["solution"], jupyter={"source_hidden": True})),
        ),
        (
            sources_that_do_more,
            with_cell(cell(3, source="x = 1\nshow.source(f)", tags=["source"])),
        ),
        (
            imports_in_a_lesson,
            with_cell(cell(3, source="import a\nimport b\nfrom c import d")),
        ),
        (not_run_in_order, with_cell(cell(None))),
        (not_run_in_order, with_cell(cell(5))),
        (writes_to_stderr, with_cell(cell(3, stream("warned", "stderr")))),
        (unchecked, with_cell(cell(3, tags=["nbval-skip"]))),
        (unchecked, with_cell(cell(3, source="# NBVAL_IGNORE_OUTPUT"))),
        (
            unexpected_errors,
            with_cell(cell(3, [{"output_type": "error", "ename": "KeyError"}])),
        ),
        (expected_errors_missing, with_cell(cell(3, tags=["raises-exception"]))),
        (local_paths, with_cell(cell(3, stream("/home/me/a")))),
        (local_paths, with_cell(cell(3, stream("site-packages")))),
        (
            timestamps,
            with_cell(
                cell(3, execution={"iopub.execute_input": "2026-01-01T00:00:00Z"})
            ),
        ),
        (other_kernel, {**GOOD, "metadata": {"kernelspec": {"name": "my-venv"}}}),
        (other_kernel, {**GOOD, "metadata": {}}),
    ],
)
def test_a_bad_notebook_fails(check, notebook):
    assert len(check(notebook)) == 1
