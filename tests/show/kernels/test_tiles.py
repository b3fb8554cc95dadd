"""The tiles that the book shows are those that ran."""

import re

import pytest
import torch
import torch.nn.functional as F

from companion import fast, scaled_dot_product_attention, show
from companion.show.kernels.tiles import Tile
from companion.show.look.palette import EDGE


def tiled(query, key, value, is_causal, scale, transposed=False):
    """The tiles of 4 queries by 2 keys that a query sees any of, in a loop's order."""
    for i in range(0, query.shape[-2], 4):
        for j in range(0, min(i + 4, key.shape[-2]), 2):
            a, b = query[..., i : i + 4, :], key[..., j : j + 2, :]
            scores = b.contiguous() @ a.mT if transposed else a @ b.mT
            scores.mul_(scale).fill_(0.0)  # what is done to them later is not recorded
            torch.ones(1, 4, b.shape[-2]) @ value[..., j : j + 2, :]


class TestTiles:
    def test_plain_attention_is_one_tile(self):
        tiles = show.record_tiles(scaled_dot_product_attention, 6)
        assert tiles == [Tile(range(6), range(6))]

    @pytest.mark.parametrize("transposed", [False, True])
    def test_tiles_are_those_of_the_run_in_its_order(self, transposed):
        tiles = show.record_tiles(tiled, 7, transposed=transposed)
        assert tiles == [
            Tile(range(4), range(2)),
            Tile(range(4), range(2, 4)),
            Tile(range(4, 7), range(2)),
            Tile(range(4, 7), range(2, 4)),
            Tile(range(4, 7), range(4, 6)),
            Tile(range(4, 7), range(6, 7)),
        ]

    def test_the_figure_counts_the_cells_and_numbers_the_steps(self):
        runs = [
            ("plain", show.record_tiles(scaled_dot_product_attention, 7)),
            ("tiled", show.record_tiles(tiled, 7)),
        ]
        figure = show.tiles_figure(runs, 7, "c")
        assert figure.alt == (
            "plain: 49 of 49 scores computed in 1 step, 28 used; "
            "tiled: 37 of 49 scores computed in 6 steps, 28 used"
        )
        for panel, cells in zip(figure.panels, (49, 37), strict=True):
            assert 'role="img"' in panel
            assert "#000" not in panel
            tints = re.findall(r'fill-opacity="(0\.\d+)"', panel)
            assert tints.count("0.34") + tints.count("0.20") == 28
            # the outline of the matrix, and what was computed and is crossed out
            assert tints.count("0.00") == 1 + cells - 28
            strokes = re.findall(rf'"M[^"]+" stroke="{re.escape(str(EDGE))}"/>', panel)
            assert len(strokes) == cells - 28
        steps = re.findall(r'font-size="15"[^>]*>(\d+)<', figure.panels[1])
        assert steps == ["1", "2", "3", "4", "5", "6"]
        assert 'x="26" y="150" width="52" height="78" fill="none"' in figure.panels[1]

    def test_refuses_a_fused_kernel_and_other_products(self):
        with pytest.raises(
            ValueError, match="scaled_dot_product_attention computed no"
        ):
            show.record_tiles(F.scaled_dot_product_attention, 4)

        def own_scale(query, key, value, is_causal, scale):
            return scaled_dot_product_attention(query / 3, key, value)

        with pytest.raises(ValueError, match=r"\(1, 4, 4\) holds .* scale=1\.0"):
            show.record_tiles(own_scale, 4)


def test_blocks_begin_with_the_last_which_takes_the_most():
    tiles = show.record_tiles(fast.blocks, 6, q_block=2)
    assert [tile.queries for tile in tiles] == [range(4, 6), range(2, 4), range(2)]
    query, key, value = (torch.empty(1, n, 1024, 64, device="meta") for n in (9, 3, 3))
    options = {"is_causal": True, "enable_gqa": True, "q_block": 32}
    peak = show.peak_bytes(fast.blocks, query, key, value, **options)
    assert peak < 1.05 * 2 * query.nbytes  # the blocks of the output, and all of it
