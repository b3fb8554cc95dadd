"""The equality ledger: two ways to the same numbers, set side by side and checked."""

from collections import Counter

import torch
from torch import Tensor

from companion.show.tables import Table


class EqualityLedger:
    """Rows of claims "this equals that", each checked when it is added.

    `exact` and `close` raise where the claim is false, so that a table that can be
    seen is true. `worst` holds the largest difference found for each row.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, tuple[int, ...], str, str]] = []
        self.worst: list[float] = []

    def exact(self, left: str, a: Tensor, right: str, b: Tensor) -> "EqualityLedger":
        """Claim that two tensors are equal bit for bit.

        Raises: ValueError when they are not, with the largest difference.
        """
        return self._add(left, a, right, b, 0.0, "exact")

    def close(
        self, left: str, a: Tensor, right: str, b: Tensor, within: float = 1e-6
    ) -> "EqualityLedger":
        """Claim that two tensors differ by less than `within` in every element.

        Raises: ValueError when they differ by more, with the largest difference.
        """
        return self._add(left, a, right, b, within, f"< {within:g}")

    def _add(
        self, left: str, a: Tensor, right: str, b: Tensor, within: float, verdict: str
    ) -> "EqualityLedger":
        if a.shape != b.shape or a.dtype != b.dtype:
            raise ValueError(
                f"{left} is {a.dtype} {tuple(a.shape)} and {right} {b.dtype} "
                f"{tuple(b.shape)}: compare like with like"
            )
        apart = (
            (a != b) * 1.0
            if a.dtype == torch.bool
            else torch.where(a == b, 0.0, (a.double() - b.double()).abs())
        )
        worst = apart.max().item()
        if not worst <= within:  # a NaN is no equality either
            raise ValueError(
                f"{left} and {right} differ by up to {worst:.3g}, more than {within:g}"
            )
        self.worst.append(worst)
        self.rows.append(
            (left, right, tuple(a.shape), str(a.dtype).removeprefix("torch."), verdict)
        )
        return self

    def table(self) -> Table:
        """The claims as a table."""
        rows = [(this, that, far, *what) for this, that, *what, far in self.rows]
        head = "this", "equals", "how far", "shape", "dtype"
        return Table(head, rows, self.summary())

    def summary(self) -> str:
        """How many claims there are and how far each may be, which no machine changes."""
        found = Counter(far for *_, far in self.rows)
        far = [f"{n} {each.replace('< ', 'within ')}" for each, n in found.items()]
        count = len(self.rows)
        return (
            f"✓ {count} {'equality' if count == 1 else 'equalities'}: {', '.join(far)}"
        )

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()
