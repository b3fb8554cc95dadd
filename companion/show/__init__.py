"""What the book shows. Nothing else in the package imports it.

Any chapter: the running `example`, the package's `source`, `tables`, `ledgers` of what a call
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
from companion.show.fault_cards import fault_cards, symptoms
from companion.show.faults import what_goes_wrong
from companion.show.figures.areas import areas
from companion.show.figures.bars import bars, stacked_bars
from companion.show.figures.curves import curves, growth
from companion.show.figures.heatmaps import mask_figure, weights_figure
from companion.show.figures.matrices import equation, grid_of_products
from companion.show.figures.shape_legend import shape_legend
from companion.show.figures.shape_row import shapes_figure
from companion.show.interactive.attention_explorer import attention_explorer
from companion.show.interactive.cache_film import cache_film
from companion.show.interactive.gpu_tile import gpu_tile
from companion.show.interactive.gqa_slider import gqa_slider
from companion.show.interactive.head_atlas import head_atlas
from companion.show.interactive.head_split import head_split
from companion.show.interactive.layer_xray import layer_xray
from companion.show.interactive.matmul_explorer import matmul_explorer
from companion.show.interactive.model_xray import model_xray
from companion.show.interactive.online_softmax import online_softmax_film
from companion.show.interactive.ranks_explorer import ranks_explorer
from companion.show.interactive.roofline_explorer import roofline_explorer
from companion.show.interactive.rope_dial import rope_dial
from companion.show.interactive.token_sampling import token_sampling
from companion.show.kernels.chip import chip_figure
from companion.show.kernels.launch_strip import launches_figure
from companion.show.kernels.launches import launches
from companion.show.kernels.line_for_line import line_for_line
from companion.show.kernels.passes import program_table
from companion.show.kernels.programs import program_steps
from companion.show.kernels.splits import splits_figure
from companion.show.kernels.tiles import record_tiles, tiles_figure
from companion.show.ledgers.axes import llama_axes
from companion.show.ledgers.beside import beside
from companion.show.ledgers.chain import chain
from companion.show.ledgers.equality import EqualityLedger
from companion.show.ledgers.ledger import ledger
from companion.show.ledgers.live import peak_bytes
from companion.show.llama.calls import calls_figure
from companion.show.llama.forward import forward_picture, layer_picture
from companion.show.llama.heads import head_sharing
from companion.show.llama.ranks import shares_figure
from companion.show.llama.rotations import rotation_figure
from companion.show.llama.stacks import stacks_figure
from companion.show.llama.tree import module_tree
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
from companion.show.written_texts import written_texts

__all__ = [
    "EqualityLedger",
    "Roofline",
    "amount",
    "areas",
    "attention_explorer",
    "bars",
    "beside",
    "cache_film",
    "calls_figure",
    "chain",
    "chip_figure",
    "curves",
    "equation",
    "example",
    "fault_cards",
    "forward_picture",
    "gpu_goals",
    "gpu_tile",
    "gqa_slider",
    "grid_of_products",
    "growth",
    "head_atlas",
    "head_sharing",
    "head_split",
    "launches",
    "launches_figure",
    "layer_picture",
    "layer_xray",
    "ledger",
    "line_for_line",
    "llama_axes",
    "machine_of",
    "machine_roofline",
    "mask_figure",
    "matmul_explorer",
    "measured",
    "messages",
    "model_xray",
    "module_tree",
    "online_softmax_film",
    "peak_bytes",
    "predicted_and_measured",
    "program_steps",
    "program_table",
    "ranks_explorer",
    "record_tiles",
    "roofline_explorer",
    "roofline_figure",
    "rope_dial",
    "rotation_figure",
    "shape_legend",
    "shapes_figure",
    "shares_figure",
    "source",
    "speeds",
    "speeds_figure",
    "splits_figure",
    "stacked_bars",
    "stacks_figure",
    "symptoms",
    "table",
    "tiles_figure",
    "token_sampling",
    "weights_figure",
    "what_goes_wrong",
    "written_texts",
]
