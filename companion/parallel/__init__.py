"""One model on several devices. Nothing is started or looked for when this is imported."""

from companion.parallel.export import export
from companion.parallel.loading import load_share
from companion.parallel.ranks import join
from companion.parallel.spawn import run
from companion.parallel.split import split_attention, split_layer, split_model
from companion.parallel.traffic import Share, predicted, share
from companion.parallel.wire import Collective, collectives, profiled

__all__ = [
    "Collective",
    "Share",
    "collectives",
    "export",
    "join",
    "load_share",
    "predicted",
    "profiled",
    "run",
    "share",
    "split_attention",
    "split_layer",
    "split_model",
]
