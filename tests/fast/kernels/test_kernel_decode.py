"""One query: its keys are split among programs, whose results are merged."""

import math

import pytest
import torch
from attention_cases import assert_right, tensors

from companion.fast.kernels.launch.arguments import number_of_splits
from companion.fast.kernels.launch.attention import launch_decode

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SPLITS = (1, 2, 5)  # of 23 keys


def in_splits(splits, kv_block=16):
    """Attention of one query by so many splits, for `assert_right`."""

    def attend(query, key, value, attn_mask=None, enable_gqa=True, scale=None):
        batch, heads, _, head_dim = query.shape
        if attn_mask is not None:
            attn_mask = attn_mask.expand(batch, heads, 1, key.shape[2])
        output = query.new_empty(batch, heads, 1, value.shape[-1])
        scale = head_dim**-0.5 if scale is None else scale
        launch_decode(query, key, value, attn_mask, output, scale, kv_block, splits)
        return output

    return attend, {}


@pytest.mark.parametrize("splits", SPLITS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_number_of_splits(dtype, splits, device):
    query, key, value = tensors((1, 3, 1, 1, 23), dtype, device, value_dim=5)
    assert_right(in_splits(splits), query, key, value)
    numbers = torch.randn(1, 3, 1, 23, device=device).to(dtype)
    numbers[:, 1, :, :9] = -math.inf
    assert_right(in_splits(splits), query, key, value, attn_mask=numbers)


HIDDEN_KEYS = {
    "the tail, as a static cache": slice(9, 23),
    "all but the first": slice(1, 23),
    "the beginning, as padding": slice(0, 11),
    "all but the last": slice(0, 22),
    "the middle": slice(4, 19),
    "all": slice(0, 23),
    "none": slice(0, 0),
}


@pytest.mark.parametrize("splits", SPLITS[1:])
@pytest.mark.parametrize("hidden", HIDDEN_KEYS.values(), ids=HIDDEN_KEYS)
def test_hidden_keys(hidden, splits, device):
    """A hidden place may hold anything: it is not used."""
    query, key, value = tensors((1, 4, 2, 1, 23), torch.float32, device)
    mask = torch.ones(23, dtype=torch.bool, device=device)
    mask[hidden] = False
    form, options = in_splits(splits), {"attn_mask": mask[None]}
    assert_right(form, query, key, value, **options)
    expected = form[0](query, key, value, **options)
    key[:, :, hidden], value[:, :, hidden] = 1e3, 1e30
    assert torch.equal(form[0](query, key, value, **options), expected)


@pytest.mark.parametrize("splits", SPLITS)
def test_empty_places_of_a_cache_are_not_read(splits, device):
    """A key that is not a number would show, were its score only masked out after."""
    query, key, value = tensors((1, 4, 2, 1, 40), torch.float32, device)
    mask = torch.ones(1, 40, dtype=torch.bool, device=device)
    mask[:, 16:] = False
    expected = in_splits(1)[0](query, key[:, :, :16], value[:, :, :16])
    key[:, :, 16:] = value[:, :, 16:] = math.nan
    output = in_splits(splits)[0](query, key, value, attn_mask=mask)
    torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("kv_len", [0, 1, 3, 6])
def test_programs_without_keys(kv_len, device):
    """Six keys are three programs' work, and the last two of five have none."""
    query, key, value = tensors((1, 2, 1, 1, kv_len + 9), torch.float32, device)
    key, value = key[:, :, :kv_len], value[:, :, :kv_len]  # more lies behind the last
    assert_right(in_splits(5), query, key, value)
    for mask in (torch.rand(kv_len + 9), torch.ones(kv_len + 9)):
        mask = (mask > 0.3).to(device)[None, :kv_len]
        assert_right(in_splits(5), query, key, value, attn_mask=mask)


@pytest.mark.parametrize("splits", SPLITS)
def test_a_mask_for_each_head(splits, device):
    query, key, value = tensors((2, 3, 1, 1, 23), torch.float32, device)
    mask = torch.rand(2, 3, 1, 23, device=device) < 0.3
    mask[0, 0], mask[1, 2, :, 5:] = False, False
    assert_right(in_splits(splits), query, key, value, attn_mask=mask)


@pytest.mark.parametrize("splits", SPLITS)
def test_splits_whose_maxima_are_far_apart(splits, device):
    query, key, value = tensors((1, 2, 2, 1, 23), torch.float32, device)
    slope = torch.linspace(-30, 30, 23, device=device)[:, None]
    for sign in (1, -1):
        steep = key.abs() * slope * sign
        assert_right(in_splits(splits), query.abs(), steep, value)


@pytest.mark.parametrize(
    ("programs", "kv_len", "splits"),
    [
        (1, 0, 1),
        (1, 1, 1),
        (1, 128, 1),
        (1, 129, 2),
        (1, 999, 2),
        (2, 999, 1),
        (99, 999, 1),
    ],
)
def test_number_of_splits_on_one_processor(programs, kv_len, splits):
    device = torch.device("cpu")
    assert number_of_splits(programs, kv_len, device) == splits
