"""What the book shows. Nothing else in the package imports it.

Any chapter: the carried `example`, the package's `source`, `tables`, `ledgers` of what a call
makes and costs, `figures`. Chapters of one kind: `llama`, pictures of the model's parts;
`kernels`, what runs on a GPU, tile by tile; `measurements`, the benchmarks' raw figures.
"""

from importlib.util import find_spec

if find_spec("matplotlib") is None:
    raise ImportError(
        'companion.show draws with matplotlib: pip install "shape-of-attention[show]"',
        name="matplotlib",
    )

from companion.show import example
from companion.show.faults import what_goes_wrong
from companion.show.figures.bars import bars, stacked_bars
from companion.show.figures.curves import curves, growth
from companion.show.figures.heatmaps import mask_figure, weights_figure
from companion.show.figures.matrices import equation, grid_of_products
from companion.show.figures.shape_legend import shape_legend
from companion.show.interactive.attention_explorer import attention_explorer
from companion.show.interactive.layer_xray import layer_xray
from companion.show.interactive.model_xray import model_xray
from companion.show.kernels.chip import chip_figure
from companion.show.kernels.launches import launches
from companion.show.kernels.line_for_line import line_for_line
from companion.show.kernels.passes import program_table
from companion.show.kernels.programs import program_steps
from companion.show.kernels.tiles import record_tiles, tiles_figure
from companion.show.ledgers.axes import llama_axes
from companion.show.ledgers.beside import beside
from companion.show.ledgers.equality import EqualityLedger
from companion.show.ledgers.ledger import ledger
from companion.show.ledgers.live import peak_bytes
from companion.show.llama.calls import calls_figure
from companion.show.llama.forward import forward_picture, layer_picture
from companion.show.llama.heads import head_sharing
from companion.show.llama.ranks import shares_figure
from companion.show.llama.rotations import rotation_figure
from companion.show.measurements.goals import gpu_goals
from companion.show.measurements.predictions import predicted_and_measured
from companion.show.measurements.raw import measured
from companion.show.measurements.roofline import (
    Roofline,
    machine_roofline,
    roofline_figure,
)
from companion.show.measurements.speeds import machine_of, speeds, speeds_figure
from companion.show.messages import messages
from companion.show.source import source
from companion.show.tables import amount, table

__all__ = [
    "EqualityLedger",
    "Roofline",
    "amount",
    "attention_explorer",
    "bars",
    "beside",
    "calls_figure",
    "chip_figure",
    "curves",
    "equation",
    "example",
    "forward_picture",
    "gpu_goals",
    "grid_of_products",
    "growth",
    "head_sharing",
    "launches",
    "layer_picture",
    "layer_xray",
    "ledger",
    "line_for_line",
    "llama_axes",
    "machine_of",
    "machine_roofline",
    "mask_figure",
    "measured",
    "messages",
    "model_xray",
    "peak_bytes",
    "predicted_and_measured",
    "program_steps",
    "program_table",
    "record_tiles",
    "roofline_figure",
    "rotation_figure",
    "shape_legend",
    "shares_figure",
    "source",
    "speeds",
    "speeds_figure",
    "stacked_bars",
    "table",
    "tiles_figure",
    "weights_figure",
    "what_goes_wrong",
]
