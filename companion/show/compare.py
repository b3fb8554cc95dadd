"""The equality ledger: two ways to the same numbers, set side by side and checked."""

import html

import torch
from torch import Tensor


class EqualityLedger:
    """Rows of claims "this equals that", each checked when it is added.

    `exact` and `close` raise where the claim is false, so that a table that can be seen is true.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str, str]] = []

    def exact(self, left: str, a: Tensor, right: str, b: Tensor) -> "EqualityLedger":
        """Claim that two tensors are equal bit for bit.

        Raises: ValueError when they are not, with the largest difference.
        """
        self._same_kind(left, a, right, b)
        if not torch.equal(a, b):
            raise ValueError(f"{left} and {right} differ by up to {(a - b).abs().max().item():.3g}")
        return self._add(left, right, a, "exact")

    def close(self, left: str, a: Tensor, right: str, b: Tensor, within: float) -> "EqualityLedger":
        """Claim that two tensors differ by at most `within` in every element.

        Raises: ValueError when they differ by more, with the largest difference.
        """
        self._same_kind(left, a, right, b)
        worst = (a.double() - b.double()).abs().max().item()
        if not worst <= within:
            raise ValueError(f"{left} and {right} differ by up to {worst:.3g}, more than {within:g}")
        return self._add(left, right, a, f"max error below {within:g}")

    def _same_kind(self, left: str, a: Tensor, right: str, b: Tensor) -> None:
        if a.shape != b.shape or a.dtype != b.dtype:
            raise ValueError(
                f"{left} is {a.dtype} {tuple(a.shape)} and {right} {b.dtype} {tuple(b.shape)}: compare like with like"
            )

    def _add(self, left: str, right: str, a: Tensor, verdict: str) -> "EqualityLedger":
        self.rows.append((left, right, str(tuple(a.shape)), str(a.dtype).removeprefix("torch."), verdict))
        return self

    def __repr__(self) -> str:
        return "\n".join(f"{a}  =  {b}   {shape} {dtype}: {verdict}" for a, b, shape, dtype, verdict in self.rows)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in ("this", "equals", "shape", "dtype", "how far"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        return f'<table class="companion-ledger"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
