"""RoPE for longer texts than a model was trained on: other frequencies, by formula."""

from companion.rope_scaling.ramps import Llama3Scaling, YarnScaling
from companion.rope_scaling.scaling import (
    DynamicNTKScaling,
    FrequencyFactors,
    LinearScaling,
    RopeScaling,
)

__all__ = [
    "DynamicNTKScaling",
    "FrequencyFactors",
    "LinearScaling",
    "Llama3Scaling",
    "RopeScaling",
    "YarnScaling",
]
