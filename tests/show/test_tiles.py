"""What the book shows of tiles, live memory and raw figures comes from what ran."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from companion import fast, scaled_dot_product_attention, show
from companion.show.tiles import Tile


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
            opacities = re.findall(r'fill-opacity="(0\.\d+)"', panel)
            assert opacities.count("0.40") == 28
            assert opacities.count("0.08") == cells - 28
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


class TestPeakBytes:
    def test_counts_what_is_held_at_once(self):
        def chain(x):
            y = x + 1  # 400
            y = y * 2  # 800 while both are there
            z = y[:50].view(5, 10)  # nothing
            del y
            return z + 1  # 600: a view keeps all of its memory

        assert show.peak_bytes(chain, torch.zeros(100)) == 800

    def test_freed_memory_counts_once(self):
        def loop(x):
            total = torch.zeros(10)
            for _ in range(20):
                total += (x * 2).sum()
            return total

        assert show.peak_bytes(loop, torch.zeros(100)) == 40 + 400 + 4

    def test_in_place_and_arguments_are_not_counted(self):
        x = torch.zeros(100)
        assert show.peak_bytes(lambda x: x.add_(1).mul_(2)[3:], x) == 0

    def test_is_the_same_without_memory(self):
        query, key = torch.randn(2, 2, 40, 8)
        there = [x.to("meta") for x in (query, key, key)]
        attend, causal = scaled_dot_product_attention, {"is_causal": True}
        here = show.peak_bytes(attend, query, key, key, **causal)
        assert show.peak_bytes(attend, *there, **causal) == here
        assert here >= 2 * 40 * 40 * 4


def test_blocks_begin_with_the_last_which_takes_the_most():
    tiles = show.record_tiles(fast.blocks, 6, q_block=2)
    assert [tile.queries for tile in tiles] == [range(4, 6), range(2, 4), range(2)]
    query, key, value = (torch.empty(1, n, 1024, 64, device="meta") for n in (9, 3, 3))
    options = {"is_causal": True, "enable_gqa": True, "q_block": 32}
    peak = show.peak_bytes(fast.blocks, query, key, value, **options)
    assert peak < 1.05 * 2 * query.nbytes  # the blocks of the output, and all of it


class TestMeasured:
    def test_is_the_newest_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr("companion.show.measurements.RESULTS", tmp_path)
        for date in ("2026-02-01", "2026-11-24", "2026-03-05"):
            text = json.dumps({"date": date})
            (tmp_path / f"attention-{date}.json").write_text(text)
        (tmp_path / "attention-memory-2027-01-01.json").write_text("{}")
        assert show.measured("attention") == {"date": "2026-11-24"}

    def test_refuses_when_there_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr("companion.show.measurements.RESULTS", tmp_path)
        with pytest.raises(ValueError, match=r"no attention-DATE\.json in .*: clone"):
            show.measured("attention")
