import torch

from companion import show


def test_a_mark_for_each_claim():
    first, second = show.EqualityLedger(), show.EqualityLedger()
    one, other = torch.ones(2), torch.ones(2) + 1e-7
    first.exact("a", one, "b", one).close("a", one, "c", other)
    second.close("a", one, "c", other)
    figure = show.chain({"One head": first, "Many": second}, "c")
    assert (
        figure.alt
        == "One head: 1 exact, 1 within a bound; Many: 0 exact, 1 within a bound"
    )
    filled = [
        panel.count("<circle") - panel.count('fill="none" stroke')
        for panel in figure.panels
    ]
    assert [panel.count("<circle") for panel in figure.panels] == [2, 1]
    assert filled == [1, 0]
    assert [panel.count(">=<") for panel in figure.panels] == [0, 1]
