import re

import pytest
import roofline as benchmark
import torch

from companion import LlamaConfig, show
from companion.show.look.palette import INKS, TEXT
from companion.show.measurements.predictions import predicted
from companion.show.measurements.roofline import (
    Roofline,
    machine_roofline,
    measured_steps,
    points,
)

CONFIG = LlamaConfig(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=1,
    num_attention_heads=4,
    num_key_value_heads=2,
)


def step(name, flops, read, written, seconds):
    return {
        "step": name,
        "flops": flops,
        "bytes_read": read,
        "bytes_written": written,
        "seconds": seconds,
    }


# 100 GFLOP/s and 10 GB/s: they meet at 10 FLOPs per byte
RAW = {
    "bytes_per_second": {"read": 10e9, "copy": 7e9},
    "flops_per_second": {"float32": 100e9, "bfloat16": 400e9},
    "cases": [
        {
            "name": "prefill",
            "dtype": "float32",
            "steps": [
                step("gate", 10**9, 10**7, 10**7, 0.02),
                step("softmax", 0, 10**7, 3 * 10**7, 0.008),
            ],
        },
        {
            "name": "decode",
            "dtype": "float32",
            "steps": [step("gate", 10**6, 2 * 10**6, 0, 0.0004)],
        },
    ],
}


class TestBounds:
    roof = Roofline(flops_per_second=100e9, bytes_per_second=10e9)

    def test_the_ceilings_meet_where_both_take_as_long(self):
        assert self.roof.ridge == 10
        assert self.roof.seconds(10e9, 1e9) == 0.1

    @pytest.mark.parametrize(
        ("flops", "moved", "seconds"),
        [
            (100e9, 1, 1.0),
            (0, 10e9, 1.0),
            (50e9, 10e9, 1.0),
            (200e9, 10e9, 2.0),
            (0, 0, 0.0),
        ],
    )
    def test_the_slower_of_the_two_decides(self, flops, moved, seconds):
        assert self.roof.seconds(flops, moved) == seconds

    def test_attainable_is_a_slope_under_a_roof(self):
        found = [self.roof.attainable(x) for x in (1, 5, 10, 1000)]
        assert found == [10e9, 50e9, 100e9, 100e9]

    def test_a_raw_file_gives_the_dtypes_peak_and_the_reading_speed(self):
        assert machine_roofline(RAW) == Roofline(100e9, 10e9)
        assert machine_roofline(RAW, "bfloat16") == Roofline(400e9, 10e9)

    def test_a_step_is_predicted_by_all_that_it_moves(self):
        gate, softmax = measured_steps(RAW, "prefill")
        assert predicted(self.roof, gate) == 0.01
        assert predicted(self.roof, softmax) == 0.004

    def test_what_was_not_measured_is_named(self):
        with pytest.raises(ValueError, match=r"no products in float16.*it has float32"):
            machine_roofline(RAW, "float16")
        with pytest.raises(ValueError, match=r"no decode in bfloat16.*it has prefill"):
            measured_steps(RAW, "decode", "bfloat16")


class TestTable:
    def test_rows(self):
        rows = show.predicted_and_measured(RAW, "prefill").rows
        assert rows == [
            ["gate", "1.00 G", "20.0 MB", "FLOPs", "10.0", "20.0", "2.0"],
            ["softmax", "", "40.0 MB", "bytes", "4.00", "8.00", "2.0"],
            ["all steps", "", "", "", "14.0", "28.0", "2.0"],
        ]

    def test_decode_is_bound_by_bytes(self):
        first, _ = show.predicted_and_measured(RAW, "decode").rows
        assert first[3:] == ["bytes", "0.200", "0.400", "2.0"]


class TestFigure:
    def test_a_point_for_each_product_and_for_nothing_else(self):
        assert points(measured_steps(RAW, "prefill")) == [(50.0, 50e9)]
        assert points(measured_steps(RAW, "decode")) == [(0.5, 2.5e9)]

    def test_it_says_what_it_shows(self):
        figure = show.roofline_figure(RAW, caption="measured")
        assert figure.alt == (
            "Roofline: 10 GB/s up to 10.0 FLOPs per byte, from there 100 GFLOP/s; "
            "prefill: 1 steps at 50.00 to 50.00 FLOPs per byte, 50.0 to 50.0 GFLOP/s; "
            "decode: 1 steps at 0.50 to 0.50 FLOPs per byte, 2.5 to 2.5 GFLOP/s"
        )

    def test_it_follows_the_page(self):
        (drawn,) = show.roofline_figure(RAW, caption="measured").panels
        assert 'aria-label="Roofline' in drawn
        assert f'fill="{TEXT}"' in drawn
        colors = set(re.findall(r"#[0-9a-f]{6}", drawn))
        assert colors <= {ink.light for ink in INKS}
        for label in ("prefill", "decode", "10 GB/s", "products: 100 GFLOP/s"):
            assert re.search(rf">\s*{label}\s*<", drawn), label


class TestSteps:
    """The layer taken apart computes what the layer computes, at its price."""

    @pytest.fixture(params=[(6, 6), (1, 6)], ids=["prefill", "decode"])
    def setting(self, request):
        return benchmark.prepared(
            CONFIG, *request.param, dtype=torch.float32, device="cpu"
        )

    def layers_own(self, layer, values, cache):
        q_len = values["x"].shape[1]
        cache.lengths = [cache.max_length - q_len] * len(cache.lengths)
        return show.ledger(
            layer.forward,
            values["x"],
            past_key_values=cache,
            position_embeddings=(values["cos"], values["sin"]),
        )

    def test_the_last_step_is_the_layers_output(self, setting):
        _, values, _ = setting
        expected = self.layers_own(*setting).result
        benchmark.costs(*setting)
        torch.testing.assert_close(values["x + feed-forward"], expected)

    def test_the_costs_add_up_to_the_layers(self, setting):
        expected = self.layers_own(*setting).total
        found = benchmark.costs(*setting)
        for name in ("flops", "bytes_read", "bytes_written"):
            assert sum(each[name] for each in found) == getattr(expected, name), name

    def test_every_step_is_timed(self, setting):
        taken: dict[str, float] = {}
        benchmark.costs(*setting)
        benchmark.once(setting, "cpu", taken)
        assert list(taken) == [each["step"] for each in benchmark.costs(*setting)]
        assert all(seconds > 0 for seconds in taken.values())
