"""A decode step for a compiler: the same graph for every position."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.decoder import PositionEmbeddings
from companion.fast.recorded import Buffers
from companion.model import LlamaForCausalLM

Places = Float[Tensor, "batch kv_heads max_length head_dim"]


class StaticCache:
    """One layer's buffers, in which a tensor says where to write.

    `update` gives back the first `length` places, a symbol where the graph is for every
    length. Those that hold no token yet are for the mask to hide.
    """

    def __init__(
        self, keys: Places, values: Places, position: Int[Tensor, "1"], length: int
    ):
        self.keys, self.values = keys, values
        self.position, self.length = position, length

    def get_seq_length(self, layer_idx: int = 0) -> Int[Tensor, "1"]:
        """Where the new token goes."""
        return self.position

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, /
    ) -> tuple[Tensor, Tensor]:
        """Write one token's key and value; the keys and values to attend to."""
        keys = self.keys.index_copy_(2, self.position, key)
        values = self.values.index_copy_(2, self.position, value)
        return keys[:, :, : self.length], values[:, :, : self.length]


def run_layer(
    layer: nn.Module,
    hidden_states: Float[Tensor, "batch 1 hidden"],
    mask: Bool[Tensor, "batch 1 1 kv_len"],
    angles: PositionEmbeddings,
    keys: Places,
    values: Places,
    position: Int[Tensor, "1"],
) -> Float[Tensor, "batch 1 hidden"]:
    """One layer, which attends to as many places as the mask has."""
    cache = StaticCache(keys, values, position, mask.shape[-1])
    return layer(hidden_states, mask, past_key_values=cache, position_embeddings=angles)


def one_token(
    model: LlamaForCausalLM,
    token: Int[Tensor, "batch 1"],
    position_ids: Int[Tensor, "batch 1"],
    mask: Bool[Tensor, "batch 1 1 kv_len"],
    position: Int[Tensor, "1"],
    keys: Buffers,
    values: Buffers,
) -> Float[Tensor, "batch vocab"]:
    """One new token through all layers; the logits of what follows."""
    hidden_states = model.model.embed_tokens(token)
    angles = model.model.rotary_emb(hidden_states, position_ids)
    places = zip(keys, values, strict=True)
    for layer, (k, v) in zip(model.model.layers, places, strict=True):
        hidden_states = run_layer(layer, hidden_states, mask, angles, k, v, position)
    return model.logits(model.model.norm(hidden_states)[:, -1])
