"""A figure that responds, as HTML: a custom element around a complete still picture, the
state that it starts from, and the same as a table.

Without JavaScript, in print and in a notebook that is not trusted the still stays.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from companion.show.figures.svg import Figure, figure
from companion.show.look.code import look_once, script_once
from companion.show.tables import Table


@dataclass(frozen=True)
class Interactive:
    """What a custom element `tag`, which `companion/show/interactive/<tag>.js` defines, is
    made from: the `trace` that it starts from, its `still` picture, and its `table`.
    """

    tag: str
    trace: Mapping[str, Any]
    still: Figure
    table: Table

    def __repr__(self) -> str:
        return f"{self.still!r}\n{self.table!r}"

    def _repr_html_(self) -> str:
        return look_once() + script_once(self.tag) + self.element()

    def element(self) -> str:
        """The figure with the element in it, without the code that makes it respond."""
        state = json.dumps(self.trace, ensure_ascii=False, separators=(",", ":"))
        state = state.replace("</", "<\\/")
        data = f'<script type="application/json">{state}</script>'
        panels = "".join(self.still.panels)
        table = (
            '<details class="as-table"><summary>The same as a table</summary>'
            f"{self.table.html()}</details>"
        )
        return figure(
            f"<{self.tag}>{data}{panels}</{self.tag}>",
            self.still.alt,
            self.still.caption,
            after=table,
        )
