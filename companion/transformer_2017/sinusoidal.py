"""The 2017 Transformer's positions: sines and cosines, added to the embeddings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.refusals import guarded_by
from companion.refusals import transformer_2017 as refusals


@guarded_by(refusals.sinusoidal_positions)
def sinusoidal_positions(
    position_ids: Int[Tensor, "*batch length"],
    hidden_size: int,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "*batch length {hidden_size}"]:
    """A vector for each position, to be added to its token's embedding.

    Feature 2i is `sin(position / 10000^(2i / hidden_size))`, feature 2i + 1 the
    cosine of the same angle. The paper adds it to the embedding times √hidden_size.

    Raises: ValueError when hidden_size is not even.
    Source: Vaswani et al. 2017, section 3.5.
    """
    exponent = torch.arange(0, hidden_size, 2, device=position_ids.device) / hidden_size
    angles = position_ids[..., None].float() / 10000.0**exponent
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(dtype)
