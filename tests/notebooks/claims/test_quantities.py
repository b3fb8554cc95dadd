"""How numbers are read, and which of them are claims."""

import math

import pytest

from claims.exempt import exempt
from claims.pages import FENCE
from claims.quantities import quantities
from claims.sentences import split


@pytest.mark.parametrize(
    ("text", "value", "unit", "half"),
    [
        ("29 GB of weights", 29e9, "bytes", 0.5e9),
        ("228 KB", 228 * 1024, "bytes", 512),
        ("1.5 GiB", 1.5 * 2**30, "bytes", 0.05 * 2**30),
        ("49,152 scores", 49152, "", 0.5),
        ("134,515,008 of them", 134515008, "", 0.5),
        ("0.36 of it", 0.36, "", 0.005),
        ("64% of it", 0.64, "share", 0.005),
        ("3.35 TB/s", 3.35e12, "bytes/s", 0.005e12),
        ("100 GB a second", 100e9, "bytes/s", 0.5e9),
        ("17 tokens per second", 17, "tokens/s", 0.5),
        ("4.5 µs", 4.5e-6, "seconds", 0.05e-6),
        ("0.43 FLOPs for a byte", 0.43, "FLOPs/byte", 0.005),
        ("94 M FLOPs", 94e6, "FLOPs", 0.5e6),
        ("2.9 GFLOPs", 2.9e9, "FLOPs", 0.05e9),
        ("257 times what", 257, "times", 0.5),
        ("135 million parameters", 135e6, "", 0.5e6),
        ("16k tokens", 16192, "", 192),
        ("6·10⁻⁸ is", 6e-8, "", 0.5e-8),
        ("1e-5 in", 1e-5, "", 0.5e-5),
        ("about 3,000 of", 3000, "", 50),
        ("3,000 of", 3000, "", 0.5),
        ("four bytes each", 4, "bytes", 0.5),
        ("8 significant bits", 8, "bits", 0.5),
        ("sixteen launches", 16, "", 0.5),
        ("a 135-million-parameter model", 135e6, "", 0.5e6),
        ("three quarters of it", 0.75, "share", 0.0375),
        ("reads a fifth less", 0.2, "share", 0.02),
    ],
)
def test_quantity(text, value, unit, half):
    [number] = quantities(text)
    assert math.isclose(number.value, value)
    assert math.isclose(number.half, half)
    assert number.unit == unit
    assert not exempt(text, number)


def test_parts_of_a_hundred():
    assert [x.value for x in quantities("54 to 46, 1 to 99")] == [0.54, 0.46, 1, 99]


def test_a_range_has_its_unit_behind_it():
    assert [x.value for x in quantities("67 to 81% or 3–5 ms")] == [
        0.67,
        0.81,
        0.003,
        0.005,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "float32, H100, GPT-2, SmolLM2-135M, Q4_1, int8, W_1, X[0], 2i",
        "Llama 3 8B, Llama 3.1 405B, Gemma 2, Python 3.11",
        "token 0, rows 10 to 12, columns 0–2, head 14 and layer 23, table 30",
        "the 2017 model of 24 November 2026",
        "two tokens, 1 query, 8 heads",
        "2q + 2k, K - 1 steps and j + 16 places, 32 · n of them",
        "a 1/127 of it",
        "tokens 1 to 99, ten thousand of them",
    ],
)
def test_no_claim(text):
    assert [x.text for x in quantities(text) if not exempt(text, x)] == []


def test_what_is_not_read():
    """Code, formulas, addresses and sources; headings and lists lose their numbers."""
    text = (
        "### 12 · A title\n\n1. `(2, 30)` and $x = 40$ {cite:p}`shazeer2019` "
        "[of 50](page50.ipynb#a-60), **70**, [pull 90](https://a.org/90). It is so. "
        "And\n\n```python\n80\n```\n"
    )
    sentences = [sentence for sentence, *_ in split(FENCE.sub("", text)) if sentence]
    assert [x.text for s in sentences for x in quantities(s)] == ["50", "70"]
    assert len(sentences) == 4
