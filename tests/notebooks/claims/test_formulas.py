"""Equalities are found in a text, and computed."""

import pytest

from claims.formulas import equalities, from_latex


@pytest.mark.parametrize(
    "text",
    [
        "b is 1,000 · 500 · 11 · 99 · 4 bytes = 2.2 GB: a broadcast",
        "multiplied by exp(4.619 − 5.196) = 0.561. For",
        "here 2 · 2 · 4 · 3 = 48, and",
        "0.36 · V[0] + 0.64 · V[1] = 0.36 · [1, 1, 4] + 0.64 · [0, 3, 5] = [0.36, 2.28, 4.64], up",
        "ratios of e⁸ ≈ 3,000",
        "higher by 1 gets e ≈ 2.7 times the weight",
        "2 · 10 tokens · 576 · 49,152 FLOPs = 0.57 GFLOPs",
        "√64 = 8, and 2 · 4 = 8 of them",
        "⌊8/3 · 4,096⌋ = 10,922",
        "1/3 ≈ 0.33, and 10000^2 = 10⁸",
        "the tile adds exp(−∞) = 0",
        from_latex(r"$\sqrt{16} \cdot 2 = 8$"),
        from_latex(r"$\frac{1}{4} \times 2^{3} = 2$"),
    ],
)
def test_right(text):
    found = list(equalities(text))
    assert found
    assert all(equality.holds for equality in found)


@pytest.mark.parametrize(
    "text",
    [
        "b is 1,000 · 500 · 11 · 96 · 4 bytes = 2.2 GB: a broadcast",
        "multiplied by exp(4.619 − 5.196) = 0.567. For",
        "here 2 · 2 · 4 · 3 = 49, and",
        "0.36 · [1, 1, 4] + 0.64 · [0, 3, 5] = [0.36, 2.38, 4.64], up",
        "ratios of e⁸ ≈ 4,000",
        "2 · 10 tokens · 576 · 49,152 FLOPs = 0.57 MFLOPs",
        "√64 = 6",
        "1/3 ≈ 0.34",
        from_latex(r"$\sqrt{16} \cdot 2 = 7$"),
    ],
)
def test_wrong(text):
    assert [equality.holds for equality in equalities(text)] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "2 · 4 = 8 · hidden² weights",
        "q · 2 = 6",
        "x - 2 = 6",
        "heads = 6, kv_len ≈ 7",
        "3 = n",
        "1 = a real token",
        from_latex(r"$e^{-\infty} = 0$"),
        from_latex(r"$2 \cdot \text{layers} = 6$"),
    ],
)
def test_with_letters(text):
    """Nothing can be computed, so nothing is said."""
    assert list(equalities(text)) == []
