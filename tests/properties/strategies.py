"""What the properties draw: sizes, numbers by a seed, masks, whole calls of attention."""

import math
from dataclasses import dataclass, field, replace
from itertools import product

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from companion import fast

# "triton" runs on a GPU or in Triton's interpreter only: tests/fast/kernels is about it
FORMS = tuple(name for name in fast.attention if name != "triton")
NEGATIVE_INFINITY = -math.inf
BLOCKS = {"tiled": ("q_block", "kv_block"), "blocks": ("q_block",)}
# batch, key/value heads, and query heads for each
HEADS = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 1, 3), (2, 2, 3), (3, 3, 2)]

sizes = st.integers(1, 4)
lengths = st.one_of(st.integers(1, 7), st.sampled_from([9, 16, 17]))
seeds = st.integers(0, 2**20)


def fewer(times: int) -> settings:
    """For what takes long: a property's share of the profile's examples."""
    return settings(max_examples=max(5, settings.default.max_examples // times))


def more(times: int) -> settings:
    """For what costs next to nothing."""
    return settings(max_examples=times * settings.default.max_examples)


def each_form(a_property):
    """The property for each form of attention, which share the examples among them."""
    return pytest.mark.parametrize("form", FORMS)(fewer(4)(a_property))


# ---- tensors


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The same random numbers for a seed in every dtype, rounded to it."""
    numbers = torch.randn(shape, generator=generator(seed), dtype=torch.float64)
    return numbers.to(dtype)


def integers(seed: int, *shape: int, reach: int = 3) -> Tensor:
    """Random integers from -reach to reach, whose sums of products have no rounding."""
    size = {"low": -reach, "high": reach + 1, "size": shape}
    return torch.randint(**size, generator=generator(seed)).double()


def permutation(seed: int, length: int) -> Tensor:
    return torch.randperm(length, generator=generator(seed))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_close(output: Tensor, expected: Tensor, within: float = 1e-10) -> None:
    """Equal but for the rounding of float64, or within what is said."""
    torch.testing.assert_close(output, expected, rtol=within, atol=within)


# ---- calls of attention


@dataclass(frozen=True)
class Call:
    """One call of attention on (batch, heads, length, head_dim), for any form to compute."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    is_causal: bool = False
    scale: float | None = None
    blocks: dict[str, dict[str, int]] = field(default_factory=dict)

    def by(self, form: str, **changes: object) -> Tensor:
        """The output of a form, of this call or of one that is changed."""
        call = replace(self, **changes)
        return fast.attention[form](
            *call.inputs,
            **call.options,
            enable_gqa=True,
            **call.blocks.get(form, {}),
        )

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value

    @property
    def options(self) -> dict[str, Tensor | bool | float | None]:
        names = "attn_mask", "is_causal", "scale"
        return {name: getattr(self, name) for name in names}

    @property
    def scores_shape(self) -> tuple[int, ...]:
        return *self.query.shape[:-1], self.key.shape[-2]

    @property
    def group(self) -> int:
        """How many query heads share a key/value head."""
        return self.query.shape[1] // self.key.shape[1]

    def full_mask(self) -> Tensor | None:
        """The mask, of each head and query."""
        mask = self.attn_mask
        return None if mask is None else mask.expand(self.scores_shape)

    def allowed(self) -> Tensor:
        """Which keys each query may attend to, whatever says so."""
        every = torch.ones(self.scores_shape, dtype=torch.bool)
        if self.is_causal:
            return every.tril()
        if self.attn_mask is None:
            return every
        mask = self.full_mask()
        return mask if mask.dtype == torch.bool else ~mask.isneginf()

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        """What Hypothesis prints of one that fails: shapes, not thousands of numbers."""
        shapes = ", ".join(str(tuple(x.shape)) for x in self.inputs)
        printer.text(f"Call({shapes}, {self.options}, {self.blocks})")


KINDS = "none", "is_causal", "bool", "float", "float with -inf", "float with its lowest"
NOT_CAUSAL = tuple(kind for kind in KINDS if kind != "is_causal")


def broadcastable(shape):
    """Every shape that broadcasts onto this one: axes are 1, or missing at the left."""
    ones = product(*({1, n} for n in shape))
    return sorted({axes[start:] for axes in ones for start in range(len(shape) + 1)})


@st.composite
def masks(draw, scores_shape, kind, dtype=torch.float64):
    """A mask of all the scores' axes or of the last, each in full or 1; rows may be empty."""
    shape = draw(st.sampled_from(broadcastable(scores_shape)))
    seed, least = draw(seeds), draw(st.sampled_from([0.0, -0.8, 0.8]))
    allowed, numbers = normal(seed, *shape) > least, normal(seed + 1, *shape)
    if kind == "bool":
        return allowed
    numbers = numbers.to(draw(st.sampled_from([dtype, torch.float32])))
    hide = {
        "float": 0.5,
        "float with -inf": NEGATIVE_INFINITY,
        "float with its lowest": torch.finfo(numbers.dtype).min,
    }
    return numbers.masked_fill(~allowed, hide[kind])


@st.composite
def calls(draw, form, kinds=KINDS, dtype=torch.float64, lengths=lengths):
    """Any call that a form takes: `sdpa` wants value_dim = head_dim and a scale above 0."""
    batch, kv_heads, group = draw(st.sampled_from(HEADS))
    q_len, kv_len, head_dim = draw(lengths), draw(lengths), draw(st.integers(1, 9))
    value_dim = head_dim if form == "sdpa" else draw(sizes)
    scores_shape = batch, kv_heads * group, q_len, kv_len
    kind = draw(st.sampled_from(kinds))
    masked = kind not in ("none", "is_causal")
    scales = [None, 0.3, 1.0] if form == "sdpa" else [None, 0.3, 1.0, 0.0, -2.0]
    seed, loud = draw(seeds), draw(st.sampled_from([1.0, 0.01, 10.0]))
    query = loud * normal(seed, batch, kv_heads * group, q_len, head_dim)
    return Call(
        query.to(dtype),
        normal(seed + 1, batch, kv_heads, kv_len, head_dim, dtype=dtype),
        normal(seed + 2, batch, kv_heads, kv_len, value_dim, dtype=dtype),
        draw(masks(scores_shape, kind, dtype)) if masked else None,
        kind == "is_causal",
        draw(st.sampled_from(scales)),
        {form: {name: draw(st.integers(2, 12)) for name in BLOCKS.get(form, ())}},
    )
