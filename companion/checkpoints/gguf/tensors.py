"""A tensor of a GGUF file: its name as Hugging Face has it, its rows as numbers."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor

from companion.checkpoints.gguf.header import TensorInfo
from companion.checkpoints.stored import StoredTensor
from companion.rope import half_from_interleaved

GGUF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class GGUFTensor(StoredTensor):
    """A tensor of a GGUF, dequantized as it is read.

    `interleaved_head` is head_dim for q and k, whose rows are stored for the pairs
    (0, 1), and 0 for the others.
    """

    kind: gguf.GGMLQuantizationType
    offset: int
    interleaved_head: int = 0

    @property
    def rows_together(self) -> int:
        """A vector is read whole, rows to be reordered head by head."""
        return self.shape[0] if len(self.shape) == 1 else self.interleaved_head or 1

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` as float32, those of q and k in the order of rotate-half."""
        rows = stop - start if len(self.shape) > 1 else 1
        size = row_bytes(self.shape, self.kind)
        stored = np.fromfile(
            self.path, np.uint8, rows * size, offset=self.offset + start * size
        )
        values = torch.from_numpy(
            gguf.dequantize(stored.reshape(rows, size), self.kind)
        ).view(stop - start, *self.shape[1:])
        if self.interleaved_head:
            heads = (stop - start) // self.interleaved_head
            values = half_from_interleaved(values, heads)
        return values


def gguf_tensor(path: Path, name: str, info: TensorInfo) -> GGUFTensor:
    """A tensor of a header, once its type is known and its data are in the file.

    Raises: ValueError that names the tensor and its type.
    """
    try:
        kind = gguf.GGMLQuantizationType(info.kind)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except (ValueError, KeyError, NotImplementedError) as error:
        known = {kind.value: kind.name for kind in gguf.GGMLQuantizationType}
        raise ValueError(
            f"{path}: {name} is stored as {known.get(info.kind, info.kind)}, which the "
            "gguf library does not dequantize: give another quantization of the model"
        ) from error
    if not info.shape or info.shape[-1] % block:
        raise ValueError(
            f"{path}: {name} is {info.shape}, whose rows are not whole blocks of "
            f"{block} as {kind.name} has them"
        )
    end = info.offset + prod(info.shape[:-1]) * row_bytes(info.shape, kind)
    if end > path.stat().st_size:
        raise ValueError(
            f"{path} is not a complete GGUF file ({name} ends at byte {end} and the "
            f"file at {path.stat().st_size}): download it again"
        )
    return GGUFTensor(path, name, info.shape, kind, info.offset)


def row_bytes(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> int:
    """Bytes of one stored row."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return shape[-1] // block * size


def hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`."""
    parts = name.split(".")
    if parts[0] == "blk" and len(parts) == 4:
        return (
            f"model.layers.{parts[1]}.{GGUF_NAMES.get(parts[2], parts[2])}.{parts[3]}"
        )
    return ".".join([GGUF_NAMES.get(parts[0], parts[0]), *parts[1:]])
