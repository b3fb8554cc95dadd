"""What the book shows: source, ledgers, figures and the carried example. Nothing else in the package imports it."""

from companion.show import example
from companion.show.architecture import forward_picture, output_shapes
from companion.show.compare import EqualityLedger
from companion.show.figures import bars, equation, grid_of_products, mask_figure, weights_figure
from companion.show.ledger import ledger
from companion.show.source import source

__all__ = [
    "EqualityLedger",
    "bars",
    "equation",
    "example",
    "forward_picture",
    "grid_of_products",
    "ledger",
    "mask_figure",
    "output_shapes",
    "source",
    "weights_figure",
]
