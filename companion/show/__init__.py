"""What the book shows: source, ledgers, figures and the carried example. Nothing
else in the package imports it.
"""

from companion.show import example
from companion.show.architecture import forward_picture, layer_picture
from companion.show.axes import llama_axes
from companion.show.beside import beside
from companion.show.chip import chip_figure
from companion.show.compare import EqualityLedger
from companion.show.distributions import distributions
from companion.show.faults import what_goes_wrong
from companion.show.figures import equation, grid_of_products
from companion.show.gpu_goals import gpu_goals
from companion.show.growth import growth
from companion.show.heatmaps import mask_figure, weights_figure
from companion.show.launches import launches
from companion.show.ledger import ledger
from companion.show.line_for_line import line_for_line
from companion.show.live import peak_bytes
from companion.show.measurements import measured
from companion.show.phases import calls_figure
from companion.show.plots import bars, curves
from companion.show.program_table import program_table
from companion.show.programs import program_steps
from companion.show.roofline import machine_roofline, predicted_and_measured
from companion.show.roofline_figure import roofline_figure
from companion.show.rotations import rotation_figure
from companion.show.shapes import output_shapes
from companion.show.shares_figure import shares_figure
from companion.show.sharing import head_sharing
from companion.show.source import source
from companion.show.speeds import machine_of, quality_table, speeds, speeds_figure
from companion.show.stacks import stacked_bars
from companion.show.tables import table
from companion.show.tiles import record_tiles, tiles_figure

__all__ = [
    "EqualityLedger",
    "bars",
    "beside",
    "calls_figure",
    "chip_figure",
    "curves",
    "distributions",
    "equation",
    "example",
    "forward_picture",
    "gpu_goals",
    "grid_of_products",
    "growth",
    "head_sharing",
    "launches",
    "layer_picture",
    "ledger",
    "line_for_line",
    "llama_axes",
    "machine_of",
    "machine_roofline",
    "mask_figure",
    "measured",
    "output_shapes",
    "peak_bytes",
    "predicted_and_measured",
    "program_steps",
    "program_table",
    "quality_table",
    "record_tiles",
    "roofline_figure",
    "rotation_figure",
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
