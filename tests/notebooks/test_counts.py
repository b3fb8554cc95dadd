"""The counts that the first page names are those of what is counted."""

import json
import re

import toc
import torch

from companion.exercises import FAULTS

PAGE = "".join(
    line
    for cell in json.loads((toc.ROOT / "book/intro.ipynb").read_text())["cells"]
    for line in cell["source"]
)
LEDGER = (toc.ROOT / "book/equality_ledger.md").read_text()


def test_equalities_are_the_rows_of_the_ledger():
    rows = re.findall('<tr><th scope="row".*?</tr>', LEDGER)
    exact = [row for row in rows if re.search("<td[^>]*>exact</td>", row)]
    assert f"[{len(rows)} equalities](equality_ledger.md)" in PAGE
    assert f"{len(exact)} of them bit for bit" in PAGE


def test_mistakes_are_those_of_the_gallery():
    """Each runs, keeps the shape, and changes the numbers."""
    for name, fault in FAULTS.items():
        wrong, right = fault.run()
        assert wrong.shape == right.shape, name
        assert not torch.allclose(wrong, right, equal_nan=True), name
    assert f"{len(FAULTS)} mistakes" in PAGE
