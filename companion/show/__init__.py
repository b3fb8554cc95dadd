"""What the book shows: source, ledgers, figures and the carried example. Nothing
else in the package imports it.
"""

from companion.show import example
from companion.show.architecture import forward_picture, layer_picture, output_shapes
from companion.show.compare import EqualityLedger
from companion.show.faults import what_goes_wrong
from companion.show.figures import equation, grid_of_products
from companion.show.heatmaps import mask_figure, weights_figure
from companion.show.ledger import beside, ledger
from companion.show.plots import bars, curves
from companion.show.source import source
from companion.show.tables import table

__all__ = [
    "EqualityLedger",
    "bars",
    "beside",
    "curves",
    "equation",
    "example",
    "forward_picture",
    "grid_of_products",
    "layer_picture",
    "ledger",
    "mask_figure",
    "output_shapes",
    "source",
    "table",
    "weights_figure",
    "what_goes_wrong",
]
