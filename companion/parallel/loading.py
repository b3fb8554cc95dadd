"""A checkpoint of which each rank reads its own share, and never holds the rest."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Shard
from tqdm import tqdm

from companion.checkpoints.loading import opened
from companion.checkpoints.stored import StoredTensor, fill
from companion.model import LlamaForCausalLM
from companion.parallel.split import split_model
from companion.tokenizers import Tokenizer


@dataclass(frozen=True)
class Rows(StoredTensor):
    """Some rows of a stored tensor, from row `first` on."""

    whole: StoredTensor
    first: int

    @property
    def rows_together(self) -> int:
        """As in the whole, where a share begins with a head."""
        return self.whole.rows_together

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of the share; a vector may have to be read whole."""
        if len(self.shape) == 1:
            vector = self.whole.read(0, self.whole.shape[0])
            return vector[self.first + start : self.first + stop]
        return self.whole.read(self.first + start, self.first + stop)


@dataclass(frozen=True)
class Columns(StoredTensor):
    """Some columns of a stored matrix, from column `first` on."""

    whole: StoredTensor
    first: int

    @property
    def rows_together(self) -> int:
        """As in the whole."""
        return self.whole.rows_together

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, these columns of each."""
        return self.whole.read(start, stop)[:, self.first : self.first + self.shape[1]]


def load_share(
    source: str | Path | None, mesh: DeviceMesh, dtype: torch.dtype = torch.float32
) -> tuple[LlamaForCausalLM, Tokenizer | None]:
    """`split_model(load(source, dtype), mesh)`, without the whole model in memory.

    Raises: what `load` raises, and ValueError for ranks that do not divide the model.
    """
    path, whole, tensors, tokenizer = opened(source, dtype)
    model = split_model(whole, mesh)
    hide = None if sys.stderr else True  # as in `load`
    parameters = list(model.named_parameters())
    bar = tqdm(parameters, f"Loading {path.name}", None, disable=hide)
    for name, parameter in bar:
        put(model, name, filled(parameter, tensors[name], mesh, dtype))
    if whole.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model.requires_grad_(False).eval(), tokenizer


def filled(
    parameter: Tensor, stored: StoredTensor, mesh: DeviceMesh, dtype: torch.dtype
) -> Tensor:
    """A rank's part of a stored tensor, laid out as the parameter is."""
    if not isinstance(parameter, DTensor):
        whole = torch.empty(stored.shape, dtype=dtype, device=mesh.device_type)
        fill(whole, stored)
        return whole
    [place] = parameter.placements
    shape = tuple(parameter.to_local().shape)
    values = torch.empty(shape, dtype=dtype, device=mesh.device_type)
    if isinstance(place, Shard):
        first = mesh.get_local_rank() * shape[place.dim]
        kind = (Rows, Columns)[place.dim]
        stored = kind(stored.path, stored.name, shape, stored, first)
    if isinstance(place, Partial) and mesh.get_local_rank() > 0:
        values.zero_()  # rank 0 has it
    else:
        fill(values, stored)
    return DTensor.from_local(values, mesh, [place], run_check=False)


def put(model: nn.Module, name: str, values: Tensor) -> None:
    """Make `values` the parameter of this name."""
    path, _, kind = name.rpartition(".")
    parameter = nn.Parameter(values, requires_grad=False)
    model.get_submodule(path).register_parameter(kind, parameter)
