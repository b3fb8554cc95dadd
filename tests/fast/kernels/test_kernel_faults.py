"""The failure gallery's mistakes, planted in the kernels: the tests beside this file must fail."""

import importlib.util
import sys
from pathlib import Path

import pytest
import test_kernel_attention as attention
import test_kernel_decode as decode
import test_kernel_parts as parts
import test_kernel_strides as strides
import torch

from companion.fast import kernels

FOLDER = Path(kernels.__file__).parent
MODULES = (
    "language",
    "matrices",
    "forward",
    "decode",
    "norm",
    "rope",
    "mlp",
)  # as they import
LONG, ONE_KEY = attention.LONG, attention.SHAPES["one key"]
BF16, F32 = torch.bfloat16, torch.float32

CHECKS = {
    "full": lambda: attention.test_equals_torch(LONG, "none", "cpu"),
    "causal": lambda: attention.test_equals_torch(LONG, "is_causal", "cpu"),
    "bool mask": lambda: attention.test_equals_torch(LONG, "bool", "cpu"),
    "float mask": lambda: attention.test_equals_torch(LONG, "float", "cpu"),
    "-inf mask": lambda: attention.test_equals_torch(ONE_KEY, "float with -inf", "cpu"),
    "lowest mask": lambda: attention.test_scale(-2.0, 11, "cpu"),
    "nothing allowed": lambda: attention.test_equals_torch(
        LONG, "nothing allowed", "cpu"
    ),
    "past": lambda: attention.test_past_is_the_lower_right_mask(20, 3, F32, "cpu"),
    "later keys": lambda: attention.test_later_keys_have_no_influence((64, 16), "cpu"),
    "groups": lambda: attention.test_any_group(3, 5, "cpu"),
    "growing scores": lambda: attention.test_scores_that_grow_and_fall(25, "cpu"),
    "large scores": lambda: attention.test_large_scores_do_not_overflow(11, "cpu"),
    "widths": lambda: attention.test_any_width(40, 40, F32, "cpu"),
    "rounded weights": lambda: (
        attention.test_weights_are_rounded_as_a_gpu_multiplies_them(BF16, 16, "cpu")
    ),
    "rounding": lambda: attention.test_rounding_has_no_direction(BF16, "cpu"),
    "strides": lambda: strides.test_strides_do_not_matter(
        strides.split_from_one, 2, 18, "cpu"
    ),
    "splits": lambda: decode.test_any_number_of_splits(F32, 2, "cpu"),
    "groups in splits": lambda: decode.test_a_mask_for_each_head(2, "cpu"),
    "maxima of splits": lambda: decode.test_splits_whose_maxima_are_far_apart(5, "cpu"),
    "tail hidden": lambda: decode.test_hidden_keys(slice(9, 23), 2, "cpu"),
    "middle hidden": lambda: decode.test_hidden_keys(slice(4, 19), 2, "cpu"),
    "all hidden": lambda: decode.test_hidden_keys(slice(0, 23), 2, "cpu"),
    "empty places": lambda: decode.test_empty_places_of_a_cache_are_not_read(1, "cpu"),
    "no keys": lambda: decode.test_programs_without_keys(6, "cpu"),
    "rope": lambda: parts.test_rope(parts.ROPE["even"], F32, "cpu"),
    "norm": lambda: parts.test_rms_norm((3,), 40, F32, "cpu"),
    "norm's bits": lambda: parts.test_rms_norm_has_the_plain_bits(BF16, "cpu"),
    "added norm": lambda: parts.test_add_rms_norm(40, F32, "cpu"),
    "rounded sum": lambda: parts.test_the_sum_is_normed_as_it_was_rounded(BF16, "cpu"),
    "swiglu": lambda: parts.test_swiglu((3, 1000), F32, "cpu"),
}

# what is wrong: the file, the check, what the file says how often there, what instead
FAULTS = {
    "no scale": ("forward", "full", ("scale *= LOG2E", 1, "scale = LOG2E")),
    "scale squared": ("forward", "full", ("scale *= LOG2E", 1, "scale *= scale * LOG2E")),
    "e for 2": ("forward", "full", ("scale *= LOG2E", 1, "scale *= 1.0")),
    "maximum not scaled": ("forward", "large scores", ("axis=1) * unit", 1, "axis=1)")),
    "key not transposed": (
        "forward", "full",
        ("dot(query, tile.T)", 1, "dot(query, tl.reshape(tile, (16, 16)))"),
    ),
    "mask off by one": ("forward", "causal", ("<= rows[:, None]", 1, "< rows[:, None]")),
    "one key too far": ("forward", "later keys", ("+ past\n", 2, "+ past + 1\n")),
    "past ignored": ("forward", "past", ("rows[:, None] + past", 1, "rows[:, None]")),
    "past ignored in the tiles": (
        "forward", "past", ("first_query = start + past", 1, "first_query = start"),
    ),
    "the diagonal's tile skipped": (
        "forward", "past", ("first_query + Q_BLOCK", 1, "first_query + 1"),
    ),
    "mask upside down": (
        "forward", "bool mask",
        ("tl.where(tile, scores, float", 1, "tl.where(tile == 0, scores, float"),
    ),
    "mask not in base 2": ("forward", "float mask", ("-1e38) * LOG2E", 1, "-1e38)")),
    "mask added before the scale": (
        "forward", "float mask",
        ('unit = 1.0 if MASK == "float" else scale', 1, "unit = scale"),
        ("scores * scale + tl.where", 1, "scores + tl.where"),
    ),
    "lowest number made -inf": (
        "forward", "lowest mask", ("tl.maximum(tile, -1e38)", 1, "tile"),
    ),
    "-inf made finite": (
        "forward", "-inf mask",
        ('tl.where(tile == float("-inf"), tile, low)', 1, "tl.maximum(low, -100.0)"),
    ),
    "heads as 0 1 0 1": (
        "forward", "groups", ("head // group,", 2, "head % (heads // group),"),
    ),
    "no rescale": (
        "forward", "growing scores", ("acc * rescale[:, None] +", 1, "acc +"),
    ),
    "sum not rescaled": (
        "forward", "growing scores", ("row_sum * rescale +", 1, "row_sum +"),
    ),
    "maximum not subtracted": (
        "forward", "large scores",
        ("exp2(row_max - shift)", 1, "exp2(row_max * 0.0)"),
        ("exp2(tl.fma(scores, unit, -shift[:, None]))", 1, "exp2(scores * unit)"),
        ("row_max = tl.full([Q_BLOCK], float(\"-inf\")", 1, "row_max = tl.full([Q_BLOCK], 0.0"),
    ),
    "maximum not carried": (
        "forward", "full", ("        row_max = new_max\n", 1, ""),
    ),
    "maximum of the tile": (
        "forward", "growing scores",
        ("-shift[:, None]", 1, "-tl.max(scores, 1)[:, None] * unit"),
    ),
    "keys beyond the last": (
        "forward", "full",
        ('        scores = tl.where((keys < kv_len)[None], scores, float("-inf"))\n', 1, "        pass\n"),
    ),
    "rows that see nothing": (
        "forward", "nothing allowed",
        ('shift = tl.where(new_max == float("-inf"), 0.0, new_max)', 1, "shift = new_max"),
    ),
    "rows without a sum": (
        "forward", "nothing allowed",
        ("tl.where(row_sum == 0, 1.0, row_sum)", 1, "row_sum"),
    ),
    "columns beyond head_dim": (
        "matrices", "widths",
        ("(columns < matrix.columns)[None]\n        tile", 1, "(columns < COLUMNS)[None]\n        tile"),
        ("(columns < matrix.columns)[None], other=0.0", 1, "(columns < matrix.columns)[None], other=1.0"),
    ),
    "weights not rounded": (
        "forward", "rounded weights", ("rounded(weights, tile.dtype)", 1, "weights"),
    ),
    "values by the keys' strides": (
        "forward", "strides", ("value, value_strides, batch", 1, "value, key_strides, batch"),
    ),
    "output not written": (
        "matrices", "full",
        ("(rows < matrix.rows)[:, None] & (columns < matrix.columns)[None]\n    tl.store", 1,
         "(rows < matrix.rows - 1)[:, None] & (columns < matrix.columns)[None]\n    tl.store"),
    ),
    "bits cut off": (
        "language", "norm's bits", ("if INTERPRETED and dtype", 1, "if False and dtype"),
    ),
    "weights cut off": (
        "language", "rounding", ("if INTERPRETED and dtype", 1, "if False and dtype"),
    ),
    "merged without rescale": (
        "decode", "maxima of splits",
        ("tl.exp2(row_max - shift)", 1, "tl.where(inside, 1.0, 0.0)"),
    ),
    "merged sum not rescaled": (
        "decode", "maxima of splits", ("row_sum * rescale", 1, "row_sum"),
    ),
    "all splits see nothing": (
        "decode", "all hidden",
        ('tl.where(new_max == float("-inf"), 0.0, new_max)', 1, "new_max"),
    ),
    "a split's last key left out": (
        "decode", "splits", ("first_key + split_len,", 1, "first_key + split_len - 1,"),
    ),
    "a split's last key twice": (
        "decode", "splits", ("first_key + split_len,", 1, "first_key + split_len + 1,"),
    ),
    "a split beyond the keys": (
        "decode", "no keys",
        ("tl.minimum(split * split_len, kv_len)", 1, "split * split_len"),
    ),
    "last key seen left out": (
        "decode", "tail hidden", ("keys[None] + 1, first_key", 1, "keys[None], first_key"),
    ),
    "first key seen left out": (
        "decode", "middle hidden", ("keys[None], stop)", 1, "keys[None] + 1, stop)"),
    ),
    "empty places read": ("decode", "empty places", ('MASK == "bool"', 1, "False")),
    "another head's mask": (
        "decode", "groups in splits",
        ("(mask, (mask_strides[1], mask_strides[3])", 1, "(mask, (0, mask_strides[3])"),
    ),
    "RoPE of neighbors": (
        "rope", "rope",
        ("pair * x.strides[1]", 1, "2 * pair * x.strides[1]"),
        ("place + half * x.strides[1]", 1, "place + x.strides[1]"),
        ("pair * output.strides[1]", 1, "2 * pair * output.strides[1]"),
        ("place + half * output.strides[1]", 1, "place + output.strides[1]"),
    ),
    "RoPE backwards": (
        "rope", "rope",
        ("first * cos - second * sin", 1, "first * cos + second * sin"),
        ("second * cos + first * sin", 1, "second * cos - first * sin"),
    ),
    "RoPE by a mixed layout": (
        "rope", "rope", ("pairs * angle_strides[2]", 1, "pairs // 2 * angle_strides[2]"),
    ),
    "RoPE from zero": (
        "rope", "rope", ("+ token * angle_strides[1]", 1, ""),
    ),
    "norm without eps": ("norm", "norm", ("/ hidden + eps", 1, "/ hidden")),
    "norm over the padding": ("norm", "norm", ("/ hidden + eps", 1, "/ BLOCK + eps")),
    "norm without a weight": ("norm", "norm", ("product = scale *", 1, "product =")),
    "weight before the cast": (
        "norm", "norm's bits",
        ("rounded(normed, dtype).to(tl.float32)", 1, "normed"),
    ),
    "x instead of the sum": (
        "norm", "added norm",
        ("columns, narrow,", 1, "columns, tl.load(x + token + columns, mask=inside),"),
    ),
    "the sum normed before it is rounded": (
        "norm", "rounded sum", ("wide = narrow.to(tl.float32)", 1, "pass"),
    ),
    "gate and up swapped": (
        "mlp", "swiglu", ("g * tl.sigmoid(g) * u", 1, "u * tl.sigmoid(u) * g"),
    ),
}  # fmt: skip


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Puts the kernels' modules anew, one of them from another text, where launchers look."""

    def put(changed: str | None = None, text: str = "") -> None:
        for name in MODULES:
            path = FOLDER / f"{name}.py"
            if name == changed:  # Triton reads a kernel from its file
                path = tmp_path / path.name
                path.write_text(text)
            full = f"{kernels.__name__}.{name}"
            spec = importlib.util.spec_from_file_location(full, path)
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, full, module)
            monkeypatch.setattr(kernels, name, module, raising=False)
            spec.loader.exec_module(module)

    return put


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_without_a_fault_all_is_right(check, load):
    load()
    check()


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.parametrize(("name", "check", "changes"), [
    pytest.param(name, check, changes, id=fault)
    for fault, (name, check, *changes) in FAULTS.items()
])  # fmt: skip
def test_fault_shows(name, check, changes, load):
    text = (FOLDER / f"{name}.py").read_text()
    for old, times, new in changes:
        assert text.count(old) == times, old
        text = text.replace(old, new)
    load(name, text)
    with pytest.raises(AssertionError):
        CHECKS[check]()
