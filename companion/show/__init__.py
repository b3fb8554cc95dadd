"""What the book shows: source, ledgers, figures and the carried example. Nothing
else in the package imports it.
"""

from companion.show import example
from companion.show.architecture import forward_picture, layer_picture
from companion.show.compare import EqualityLedger
from companion.show.distributions import distributions
from companion.show.faults import what_goes_wrong
from companion.show.figures import equation, grid_of_products
from companion.show.heatmaps import mask_figure, weights_figure
from companion.show.ledger import beside, ledger
from companion.show.phases import calls_figure
from companion.show.plots import bars, curves
from companion.show.rotations import rotation_figure
from companion.show.shapes import output_shapes
from companion.show.sharing import head_sharing
from companion.show.source import source
from companion.show.tables import table

__all__ = [
    "EqualityLedger",
    "bars",
    "beside",
    "calls_figure",
    "curves",
    "distributions",
    "equation",
    "example",
    "forward_picture",
    "grid_of_products",
    "head_sharing",
    "layer_picture",
    "ledger",
    "mask_figure",
    "output_shapes",
    "rotation_figure",
    "source",
    "table",
    "weights_figure",
    "what_goes_wrong",
]
