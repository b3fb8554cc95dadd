"""What all drawn figures have in common: a name, the look's colors, words that a phone shows."""

import re

import pytest
import torch

import companion
from companion import show
from companion.show import example
from companion.show.kernels.launches import Launch
from companion.show.kernels.tiles import Tile
from companion.show.look.palette import INKS
from companion.show.measurements.speeds import Speed

PHONE = 358  # pixels of text on a phone of 390
LEAST = 12  # pixels of a letter
MASK = companion.causal_mask(3)
X = example.tokens()
LAUNCHES = [Launch("pow", 4608), Launch("mm", 1331712)]
FIGURES = {
    "equation": lambda: show.equation([("W", X.mT), "@", ("X", X - 2)], "c"),
    "weights": lambda: show.weights_figure(torch.eye(6), ["a"] * 6, ["b"] * 6, "c"),
    "many weights": lambda: show.weights_figure(
        torch.rand(2, 12, 12), ["a query"] * 12, ["a key"] * 12, "c"
    ),
    "mask": lambda: show.mask_figure([("m", MASK)], "c"),
    "calls": lambda: show.calls_figure([("whole", [MASK]), ("one", list(MASK.split(1)))], "c"),
    "bars": lambda: show.bars(["a", "b"], {"": torch.tensor([0.75, 0.25])}, "c"),
    "stacked": lambda: show.stacked_bars({"r": (1, 2, 3, 4)}, "abcd", unit="B", caption="c"),
    "grid": lambda: show.grid_of_products(torch.ones(2, 1, 3, 3), torch.ones(4, 3, 3), "c"),
    "layer": lambda: show.layer_picture(example.decoder_layer(), X[None], "c"),
    "curves": lambda: show.curves(
        [1, 2], {"y": torch.ones(2), "z": torch.rand(2)}, x_label="x", y_label="y", alt="flat",
        caption="c", log=True, ours=["z"],
    ),
    "growth": lambda: show.growth({"y": {1024: 1.0, 4096: 9.0}}, x_label="x", y_label="y", caption="c"),
    "sharing": lambda: show.head_sharing({"MQA": torch.tensor([0] * 8)}, "c"),
    "rotation": lambda: show.rotation_figure([("pair", torch.eye(2))], [0, 1], "c"),
    "chip": lambda: show.chip_figure("c"),
    "splits": lambda: show.splits_figure(
        torch.empty(1, 9, 1, 64, device="meta"), torch.empty(1, 3, 4096, 64, device="meta"), "c"
    ),
    "launches": lambda: show.launches_figure(
        {"a": LAUNCHES, "b": [Launch("kernel", 9, triton=True), LAUNCHES[1]]}, {"p": 1}, "c"
    ),
    "tiles": lambda: show.tiles_figure([("t", [Tile(range(8), range(4))])], 8, "c"),
    "explorer of matmul": lambda: show.matmul_explorer("c").still,
    "explorer of a roofline": lambda: show.roofline_explorer("c").still,
    "speeds": lambda: show.speeds_figure({"f": [Speed("companion", 2.0, 1.0, 3.0, 4.0)]}, "c"),
}  # fmt: skip
LETTERS = re.compile(r'font-size="([\d.]+)"|font(?:-size)?: ([\d.]+)px')


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]()


def drawings(figure):
    """All of a figure's pictures, its legend too."""
    return re.findall(r"<svg.*?</svg>", figure._repr_html_(), flags=re.DOTALL)


def test_every_picture_has_a_name_for_screen_readers(figure):
    for drawn in drawings(figure):
        assert re.match(r'<svg [^>]*role="img"', drawn)
        assert re.match(r'<svg [^>]*aria-label="[^"]', drawn)


def test_every_color_is_one_of_the_look(figure):
    known = {f"var(--look-{ink.name}, {ink.light})" for ink in INKS}
    for drawn in drawings(figure):
        colors = set(re.findall(r"var\(--look-[a-z]+, #\w+\)", drawn))
        assert colors <= known
        assert not re.findall(r"#\w{6}\b", re.sub(r"var\([^)]*\)", "", drawn))
        assert "currentColor" not in drawn


def test_a_phone_shows_all_words(figure):
    for drawn in drawings(figure):
        (wide,) = re.findall(r'viewBox="0 0 ([\d.]+) ', drawn)
        assert float(wide) <= PHONE
        sizes = [float(a or b) for a, b in LETTERS.findall(drawn)]
        assert min(sizes, default=LEAST) >= LEAST


def test_hue_on_an_edge_is_an_axis_and_in_a_fill_a_sign(figure):
    for drawn in drawings(figure):
        axes = re.findall(r'<(?:rect|circle)[^>]*fill="var\(--look-([bhqkdm]),', drawn)
        signs = re.findall(r'stroke="var\(--look-(positive|negative),', drawn)
        assert not axes
        assert not signs
