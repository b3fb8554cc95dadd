"""Weights of torch's own Transformer layers, under the names of `encoder_decoder`."""

import re
from collections.abc import Mapping

from torch import Tensor

PACKED = re.compile(r"(self_attn|multihead_attn)\.in_proj_(weight|bias)")
OTHERS = re.compile(
    r"((self_attn|multihead_attn)\.out_proj|linear[12]|norm[123])\.(weight|bias)"
)


def weights_from_torch(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torch's encoder or decoder layer, under the names used here.

    torch stacks W_q, W_k and W_v in one in_proj_weight, and calls cross_attn
    multihead_attn and o_proj out_proj. A state dict does not say where the norms
    stand or which activation is used: these layers are norm_first=False and ReLU,
    torch's defaults.

    Raises: ValueError for a name that such a layer does not have.
    """
    converted = {}
    for name, tensor in state_dict.items():
        ours = name.replace("multihead_attn", "cross_attn")
        if PACKED.fullmatch(name):
            part, _, kind = ours.replace("in_proj_", "").rpartition(".")
            for letter, rows in zip("qkv", tensor.chunk(3), strict=True):
                converted[f"{part}.{letter}_proj.{kind}"] = rows
        elif OTHERS.fullmatch(name):
            converted[ours.replace("out_proj", "o_proj")] = tensor
        else:
            raise ValueError(
                f"no weight of torch's TransformerEncoderLayer or "
                f"TransformerDecoderLayer is called {name!r}: pass the state dict of "
                "one layer, such as encoder.layers[0].state_dict()"
            )
    return converted
