import math

import pytest
import torch

from companion import show


def test_accepts_what_is_equal():
    a = torch.tensor([1.0, -math.inf])
    ledger = show.EqualityLedger().exact("a", a, "b", a.clone())
    ledger.close("a", a, "c", a + torch.tensor([1e-7, 0]))
    assert [row[-1] for row in ledger.rows] == ["exact", "< 1e-06"]


def test_a_line_says_how_many_hold_and_how_far_alike_on_every_machine():
    a = torch.zeros(2)
    ledger = show.EqualityLedger().exact("a", a, "b", a)
    assert ledger.summary() == "✓ 1 equality: 1 exact"
    for difference in (1e-7, 3e-8):
        ledger.close("a", a, "c", a + difference)
    ledger.close("a", a, "c", a + 1e-4, within=1e-3)
    said = "✓ 4 equalities: 1 exact, 2 within 1e-06, 1 within 0.001"
    assert f'data-summary="{said}"' in ledger._repr_html_()


def test_refuses_what_is_not():
    a = torch.zeros(2)
    with pytest.raises(ValueError, match=r"a and b differ by up to 0\.5"):
        show.EqualityLedger().exact("a", a, "b", a + 0.5)
    with pytest.raises(ValueError, match=r"more than 0\.001"):
        show.EqualityLedger().close("a", a, "b", a + 0.5, within=1e-3)
    with pytest.raises(ValueError, match="compare like with like"):
        show.EqualityLedger().exact("a", a, "b", torch.zeros(3))
    with pytest.raises(ValueError, match="nan"):
        show.EqualityLedger().close("a", a, "b", a * math.nan)
