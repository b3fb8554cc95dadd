"""The picture of what two forms launch has each launch once, in order, with its bytes."""

import re

import pytest
from drawn import outside, overlapping, rects, words

from companion import show
from companion.show import amount, example
from companion.show.kernels.launch_columns import blocks, cut
from companion.show.kernels.launches import Launch

PLAIN = [
    Launch("pow", 400),
    Launch("mul", 800),
    Launch("mm", 8_000_000),
    Launch("bmm", 2_000_000),
    Launch("mm", 4_000_000),
    Launch("add", 1200),
]
KERNELS = [
    Launch("rms_norm_forward", 800, triton=True),
    Launch("mm", 8_000_000),
    Launch("attend_to_split", 1_000_000, triton=True),
    Launch("merge_splits", 500, triton=True),
    Launch("mm", 4_000_000),
    Launch("add", 1200),
]
FOUND = {"plain": PLAIN, "with_kernels": KERNELS}
PARTS = {"attention": 1, "rest": 1}
FRAMES = ("weights", "activations")


def figure(found=FOUND, parts=PARTS):
    return show.launches_figure(found, parts, "c")


def boxes(panel):
    """The launches' boxes: those of the first column, and those of the second."""
    found = [
        box for box in rects(panel) if box.kind in FRAMES and "class" not in box.look
    ]
    first = min(box.x for box in found)
    return (
        [box for box in found if box.x == first],
        [box for box in found if box.x != first],
    )


def inside(box, panel):
    """What stands in a box: the name, and the bytes."""
    return [
        said
        for x, y, said in words(panel)
        if box.x < x < box.x + box.width and box.y < y < box.y + box.height
    ]


def bars(panel):
    return [box for box in rects(panel) if box.look.get("class") == "bytes"]


def test_every_launch_is_a_box_with_its_name_and_bytes_in_order():
    columns = [], []
    for panel in figure().panels:
        for column, found in zip(columns, boxes(panel), strict=True):
            assert [box.y for box in found] == sorted(box.y for box in found)
            column.extend((box.kind, *inside(box, panel)) for box in found)
    for column, launches in zip(columns, FOUND.values(), strict=True):
        assert column == [
            (
                "weights" if each.name == "mm" else "activations",
                each.name,
                amount(each.bytes_moved, "B"),
            )
            for each in launches
        ]


def test_it_counts_them_for_who_does_not_see_it():
    assert figure().alt == (
        "attention: plain 3 launches of 8.00 MB, with_kernels 2 launches of 8.00 MB; "
        "rest: plain 3 launches of 6.00 MB, with_kernels 4 launches of 5.00 MB"
    )
    first, second = figure().panels
    assert 'aria-label="attention, plain: pow, mul, mm; with_kernels: rms_' in first
    assert "plain: 3 launches" in second
    assert "with_kernels: 4 launches" in second


def test_tritons_are_marked_and_no_other():
    for panel, count in zip(figure().panels, (1, 2), strict=True):
        marks = re.findall(r'class="triton" d="M([\d.]+) ([\d.]+)', panel)
        assert len(marks) == count
        marked = [
            inside(box, panel)[0]
            for box in [*boxes(panel)[0], *boxes(panel)[1]]
            for x, y in marks
            if box.x < float(x) < box.x + box.width
            and box.y < float(y) < box.y + box.height
        ]
        names = [each.name for each in KERNELS if each.triton]
        assert marked == [name for name in names if name in panel]


def test_bars_are_bytes_on_one_scale():
    drawn = figure()
    found = [box.width for panel in drawn.panels for box in bars(panel)]
    ours = [box for panel in drawn.panels for column in boxes(panel) for box in column]
    moved = sorted(each.bytes_moved for form in FOUND.values() for each in form)
    long = max(found)
    assert sorted(found) == pytest.approx(
        [long * each / moved[-1] for each in moved], abs=0.01
    )
    assert long < min(box.width for box in ours)
    [sample] = bars(drawn.legend)
    assert sample.width == pytest.approx(long / 8, abs=0.01)
    assert "1.00 MB" in drawn.legend


def test_what_both_launch_is_side_by_side_and_the_rest_on_a_ground():
    for panel, grounds in zip(figure().panels, (1, 1), strict=True):
        left, right = (
            {box.y for box in each if box.kind == "weights"} for each in boxes(panel)
        )
        assert left == right
        shaded = [box for box in rects(panel) if box.look.get("class") == "instead"]
        assert len(shaded) == grounds
        for box in [*boxes(panel)[0], *boxes(panel)[1]]:
            name = inside(box, panel)[0]
            on = any(each.y < box.y < each.y + each.height for each in shaded)
            assert on == (name not in ("mm", "add"))


def test_boxes_are_apart_inside_and_hold_their_words():
    for panel in figure().panels:
        both = [*boxes(panel)[0], *boxes(panel)[1]]
        assert not overlapping(both)
        assert not outside(panel)
        for box in both:
            name, size = inside(box, panel)
            assert 12 + 7.2 * len(name) + 7.2 * len(size) + 6 <= box.width


def test_a_layer_and_itself_launch_the_same():
    layer, x = example.decoder_layer(), example.tokens()[None]
    found = show.launches(layer, x)
    drawn = figure({"once": found, "again": found}, {"attention": 4, "MLP": 3})
    assert "instead" not in "".join(drawn.panels)
    for panel in drawn.panels:
        left, right = ([inside(box, panel) for box in each] for each in boxes(panel))
        assert left == right
    sizes = [len(boxes(panel)[0]) for panel in drawn.panels]
    assert sum(sizes) == len(found)
    assert drawn.panels[1].count(">mm<") == 2 * 3


def test_a_part_ends_with_its_projections_and_the_last_with_the_end():
    names = [[each.name for each in part] for part in cut(PLAIN, [1, 1])]
    assert names == [["pow", "mul", "mm"], ["bmm", "mm", "add"]]
    assert cut(PLAIN, [2]) == [PLAIN]


def test_blocks_have_every_launch_once():
    found = [*blocks(PLAIN, KERNELS)]
    for side, form in enumerate((PLAIN, KERNELS)):
        assert [each for block in found for each in block[side]] == form


def test_what_has_one_name_is_another_launch_where_triton_makes_it():
    theirs, ours = [Launch("mm", 1)], [Launch("mm", 1, triton=True)]
    assert [*blocks(theirs, ours)] == [(theirs, ours)]
    [panel] = figure({"a": theirs, "b": ours}, {"all": 1}).panels
    assert 'class="instead"' in panel


@pytest.mark.parametrize(
    ("found", "parts", "why"),
    [
        ({"plain": PLAIN}, PARTS, "one picture has two forms side by side, not 1"),
        (FOUND, {"none": 0, "all": 2}, "each ends with a projection"),
        (FOUND, {}, "each ends with a projection"),
        (FOUND, {"all": 3}, r"plain launches 2 projections, and the parts .* have 3"),
        (
            {"plain": PLAIN, "less": KERNELS[:-2]},
            PARTS,
            "less launches 1 projections, and the parts",
        ),
        (
            {"plain": PLAIN, "long": [Launch("a" * 40, 1), *KERNELS]},
            PARTS,
            "pow and a{40}: too long to be side by side",
        ),
    ],
)
def test_refuses_what_has_no_place(found, parts, why):
    with pytest.raises(ValueError, match=why):
        figure(found, parts)
