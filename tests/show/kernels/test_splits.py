"""The picture of a decode step's programs shows what would be launched."""

from types import SimpleNamespace

import pytest
import torch
from drawn import outside, overlapping, rects, words

from companion import show
from companion.fast.kernels.launch import arguments
from companion.fast.kernels.launch.arguments import number_of_splits, splits_for
from companion.fast.kernels.launch.attention import launch_decode
from companion.show.figures.legends import TINTS
from companion.show.kernels.chip import MULTIPROCESSORS
from companion.show.kernels.decode_work import decode_work

OURS, OTHERS = (f"{tint:.2f}" for tint in TINTS[:2])
SMOLLM2 = (1, 9, 3, 4096)


def inputs(batch=1, heads=9, kv_heads=3, kv_len=4096, q_len=1):
    """A query and the keys of a cache, in bfloat16; no memory is taken."""
    options = {"device": "meta", "dtype": torch.bfloat16}
    query = torch.empty(batch, heads, q_len, 64, **options)
    return query, torch.empty(batch, kv_heads, kv_len, 64, **options)


def tints(panel):
    """The boxes of programs, by group, and the empty ones."""
    boxes = [box for box in rects(panel) if "fill-opacity" in box.look]
    return [
        [box for box in boxes if box.look["fill-opacity"] == tint]
        for tint in (OURS, OTHERS, "0.00")
    ]


def test_smollm2_keeps_three_multiprocessors_busy_and_split_many():
    figure = show.splits_figure(*inputs(), "c")
    whole, split = figure.panels
    assert figure.alt == (
        "keys in 1 part, 3 programs on 3 of 132 multiprocessors, each reads 4,096 keys "
        "and values, 1.05 MB; keys in 32 parts, 96 programs on 96 of 132 "
        "multiprocessors, each reads 128 keys and values, 32.8 kB; merge_splits brings "
        "the parts together"
    )
    # Those of group 0 are there twice: on the chip, and below their keys.
    assert [len(each) for each in tints(whole)] == [2 * 1, 2, 129]
    assert [len(each) for each in tints(split)] == [2 * 32, 64, 36]


@pytest.mark.parametrize(
    ("sizes", "multiprocessors"),
    [
        (SMOLLM2, MULTIPROCESSORS),
        ((1, 9, 3, 8192), MULTIPROCESSORS),  # more programs than multiprocessors
        ((8, 9, 3, 1000), MULTIPROCESSORS),
        ((1, 8, 1, 8193), 20),
        ((1, 32, 32, 129), 200),
    ],
)
class TestAnySizes:
    def test_there_are_as_many_parts_as_the_kernel_makes(self, sizes, multiprocessors):
        figure = show.splits_figure(
            *inputs(*sizes), "c", multiprocessors=multiprocessors
        )
        batch, _, kv_heads, kv_len = sizes
        splits = splits_for(batch * kv_heads, kv_len, multiprocessors)
        for panel, parts in zip(figure.panels, (1, splits), strict=True):
            keys = [box for box in rects(panel) if box.kind == "cached"]
            assert len(keys) == parts
            ours, others, empty = tints(panel)
            programs = batch * kv_heads * parts
            assert len(ours) + len(others) == programs + parts
            assert len(ours) == 2 * parts
            assert len(empty) == max(multiprocessors - programs, 0)

    def test_boxes_are_apart_and_inside(self, sizes, multiprocessors):
        figure = show.splits_figure(
            *inputs(*sizes), "c", multiprocessors=multiprocessors
        )
        for panel in figure.panels:
            assert not overlapping(rects(panel))
            assert not outside(panel)

    def test_parts_have_every_key_once(self, sizes, multiprocessors):
        batch, _, kv_heads, kv_len = sizes
        splits = splits_for(batch * kv_heads, kv_len, multiprocessors)
        work = decode_work(*inputs(*sizes), splits, multiprocessors)
        assert [key for part in work.parts for key in part] == [*range(kv_len)]
        panel = show.splits_figure(
            *inputs(*sizes), "c", multiprocessors=multiprocessors
        ).panels[1]
        keys = [box for box in rects(panel) if box.kind == "cached"]
        for box, part in zip(keys, work.parts, strict=True):
            share = len(part) / kv_len
            assert box.width == pytest.approx(share * 288, rel=1e-4)
        assert keys[-1].x + keys[-1].width == pytest.approx(keys[0].x + 288, rel=1e-4)


class Kernel:
    """In place of a kernel: keeps its grid and its arguments."""

    def __getitem__(self, grid):
        self.grid = grid
        return self.launch

    def launch(self, *tensors, **options):
        self.tensors, self.options = tensors, options


@pytest.mark.parametrize("splits", [1, 5, 32])
def test_what_is_drawn_is_what_is_launched(splits, monkeypatch):
    parts, merge = Kernel(), Kernel()
    fake = SimpleNamespace(
        tuned_attend_to_split=parts, attend_to_split=parts, merge_splits=merge
    )
    monkeypatch.setattr("companion.fast.kernels.decode", fake, raising=False)
    query, key = inputs(batch=2)
    output = torch.empty_like(query)
    launch_decode(query, key, key, None, output, 1.0, splits=splits)

    work = decode_work(query, key, splits, MULTIPROCESSORS)
    assert parts.grid[0] == work.groups
    assert parts.grid[0] * parts.grid[1] == work.programs
    assert parts.options["split_len"] == len(work.parts[0])
    left = sum(each.nbytes for each in parts.tensors[4:7])
    assert left == work.groups * work.left_bytes
    assert merge.grid == (work.groups * work.group,)
    assert [*map(id, merge.tensors[:3])] == [*map(id, parts.tensors[4:7])]


def test_a_gpu_is_asked_for_its_multiprocessors(monkeypatch):
    chip = SimpleNamespace(multi_processor_count=MULTIPROCESSORS)
    monkeypatch.setattr(arguments.torch.cuda, "get_device_properties", lambda _: chip)
    found = number_of_splits(3, 4096, torch.device("cuda"))
    assert found == splits_for(3, 4096, MULTIPROCESSORS) == 32


def test_the_words_are_those_of_the_numbers():
    one, several = show.splits_figure(*inputs(kv_len=1000, heads=3), "c").panels
    assert "merge_splits: 1 program reads 264 B" in one
    assert "merge_splits: 1 program reads 2,112 B" in several
    assert "each reads 125 keys" in several
    panel = show.splits_figure(*inputs(kv_len=999), "c").panels[1]
    assert "each reads up to 125 keys and values, 32.0 kB" in panel
    assert "merge_splits: 3 programs read 6,336 B" in panel
    assert "1000k" in [said.strip("\u200b") for _, _, said in words(one)]


def test_names_end_where_the_parts_begin():
    for panel in show.splits_figure(*inputs(), "c").panels:
        names = {said: x + 7.3 * len(said) for x, _, said in words(panel)}
        left = min(box.x for box in rects(panel) if box.kind == "cached")
        for name in ("K, V", "programs", "row_max", "row_sum", "acc"):
            assert names[name] < left


def test_one_group_has_no_others_in_the_legend():
    drawn = show.splits_figure(*inputs(heads=4, kv_heads=1), "c").legend
    assert "of another" not in drawn
    assert "of another" in show.splits_figure(*inputs(), "c").legend


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"q_len": 2}, "q_len is 2: keys are split for a single query"),
        ({"heads": 8}, "3 key heads do not divide 8 query heads"),
        ({"kv_len": 128}, "128 keys of 3 groups on 132 multiprocessors stay in one"),
        ({"batch": 88}, "4,096 keys of 264 groups on 132 multiprocessors stay in one"),
    ],
)
def test_refuses_what_is_not_split(sizes, why):
    with pytest.raises(ValueError, match=why):
        show.splits_figure(*inputs(**sizes), "c")
