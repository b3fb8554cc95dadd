"""Probabilities of the same tokens under several settings, one panel for each."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from companion.show.svg import ACCENT, Figure, box, svg, text

BAR, ROW, TOP = 96, 22, 24
MONO = 'font-family="ui-monospace, monospace"'


def distributions(
    tokens: Sequence[str], panels: Mapping[str, Tensor], caption: str
) -> Figure:
    """A bar for each token's probability (vocab,), a panel for each named setting.

    All panels share one scale; a token that a setting dropped has no bar.
    """
    largest = max(values.max().item() for values in panels.values())
    left = 10 + 8 * max(map(len, tokens))
    drawn = []
    for name, values in panels.items():
        body = [text(left, 10, name, anchor="start", size=13)]
        for i, (token, value) in enumerate(zip(tokens, values.tolist(), strict=True)):
            y = TOP + i * ROW
            body.append(text(left - 6, y + 9, token, anchor="end", size=12, extra=MONO))
            if value > 0:
                width = max(round(BAR * value / largest, 1), 0.5)
                body.append(box(left, y, width, 18, opacity=0.45, color=ACCENT))
            label = (
                f"{100 * value:.0f}%" if value >= 0.005 else "0" if not value else "<1%"
            )
            end = left + BAR * value / largest + 5
            body.append(text(round(end, 1), y + 9, label, anchor="start", size=11))
        alt = f"{name}: " + ", ".join(
            f"{token} {100 * value:.0f}%"
            for token, value in zip(tokens, values.tolist(), strict=True)
        )
        height = TOP + ROW * len(tokens)
        drawn.append(svg(left + BAR + 40, height, "".join(body), alt))
    return Figure(
        tuple(drawn), f"Probabilities of {len(tokens)} tokens, by setting", caption
    )
