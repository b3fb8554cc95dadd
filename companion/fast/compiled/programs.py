"""The two programs of a decode step, a layer and what follows the last, as functions of
their weights: layers differ in nothing else, so that one program serves them all.

Batch, length and the cache's room are symbols. No value of them is another program, but
for a batch of one, whose products are sums of rows.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jaxtyping
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from companion.decoder import LlamaDecoderLayer
from companion.fast.compiled.step import run_layer
from companion.fast.copies import is_unchanged
from companion.fast.refusals.compiled import untraceable
from companion.model import LlamaForCausalLM

ANY = Dim.DYNAMIC
# Sizes that examples have. None is 1, nor is what a layer makes of one: it would be taken
# for an axis to broadcast.
ROOM, LENGTH, BATCH = 7, 5, 6


class LayerStep(nn.Module):
    """One new token of each sequence through a layer."""

    def __init__(self, layer: LlamaDecoderLayer):
        super().__init__()
        self.layer = layer

    def forward(
        self,
        hidden_states: Tensor,
        mask: Tensor,
        cos: Tensor,
        sin: Tensor,
        *places: Any,
    ) -> Tensor:
        """`run_layer`, with the angles apart; contiguous, as the next layer takes it."""
        out = run_layer(self.layer, hidden_states, mask, (cos, sin), *places)
        return out.contiguous()


class LastStep(nn.Module):
    """What follows the layers: the last norm, and the head."""

    def __init__(self, norm: nn.Module, head: nn.Module):
        super().__init__()
        self.norm, self.head = norm, head

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Hidden states (batch, 1, hidden) to logits (batch, vocab)."""
        return self.head(self.norm(hidden_states)[:, -1])


class OfWeights(nn.Module):
    """A module as a function of its weights. It has none of its own."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = (module,)  # in a tuple, where torch does not look for parameters

    def forward(self, weights: list[Tensor], *arguments: Tensor) -> Tensor:
        """Call the module with these weights in place of its own."""
        given = dict(zip(weights_of(self.module[0]), weights, strict=True))
        return torch.func.functional_call(self.module[0], given, arguments)


@dataclass(frozen=True)
class Program:
    """A module that is to be compiled, with an example of each argument and those of its
    axes whose sizes are symbols.
    """

    module: nn.Module
    arguments: tuple[Tensor, ...]
    symbols: tuple[dict[int, Any], ...]

    def exported(self) -> ExportedProgram:
        """Its graph, of its weights and of its arguments, as torch.export traces it."""
        weights = list(weights_of(self.module).values())
        checked = jaxtyping.config.jaxtyping_disable
        jaxtyping.config.update("jaxtyping_disable", True)  # symbols are no sizes to it
        try:
            return torch.export.export(
                OfWeights(self.module),
                (weights, *self.arguments),
                dynamic_shapes=([{}] * len(weights), self.symbols),
            )
        except Exception as error:  # torch has a dozen kinds for what it cannot trace
            raise untraceable(error) from error
        finally:
            jaxtyping.config.update("jaxtyping_disable", checked)


def traits(module: nn.Module) -> tuple[object, ...]:
    """What a program of a module depends on but for its arguments: the classes in it, the
    numbers that tracing makes constants of, what attends, and its weights' layout; of a
    module that is not ours, or hooked, all that it holds.
    """
    constants = [
        (name, type(each).__qualname__, key, value)
        for name, each in module.named_modules()
        for key, value in vars(each).items()
        if isinstance(value, int | float) and key != "layer_idx"
    ]
    attend = [settled(vars(each).get("attend")) for each in module.modules()]
    theirs = [settled(vars(x)) for x in module.modules() if not is_known(x)]
    weights = [
        (name, tuple(x.shape), x.stride(), x.dtype)
        for name, x in weights_of(module).items()
    ]
    return *constants, *attend, *weights, *theirs


def is_known(module: nn.Module) -> bool:
    """Whether a module is all that its class says, and the class torch's or the package's."""
    ours = type(module).__module__.startswith(("companion.", "torch.nn.modules."))
    return ours and is_unchanged(module) and not module._buffers


def settled(value: Any) -> object:
    """A value to compare by: equal where programs that are made with it are."""
    if isinstance(value, nn.Parameter):
        return None  # an argument of the program
    if isinstance(value, partial):
        return settled((value.func, value.args, value.keywords))
    if isinstance(value, dict):
        return tuple((key, settled(x)) for key, x in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(settled, value))
    if isinstance(value, nn.Module):
        return type(value)  # is looked at by itself
    is_value = isinstance(value, Hashable) and not isinstance(value, Tensor)
    return value if is_value else id(value)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter by its name; one that is used twice has two."""
    return dict(module.named_parameters(remove_duplicate=False))


def layer_program(model: LlamaForCausalLM, module: LayerStep, one: bool) -> Program:
    """A layer's step, for one sequence or for several."""
    config, batch = model.config, 1 if one else BATCH
    hidden, heads = config.hidden_size, config.num_key_value_heads
    of_batch = {} if one else {0: ANY}
    angles = torch.zeros(batch, 1, config.head_dim, dtype=model.dtype)
    places = torch.zeros(batch, heads, ROOM, config.head_dim, dtype=model.dtype)
    arguments = {
        "hidden_states": (torch.zeros(batch, 1, hidden, dtype=model.dtype), of_batch),
        "mask": (
            torch.ones(batch, 1, 1, LENGTH, dtype=torch.bool),
            {3: ANY, **of_batch},
        ),
        "cos": (angles, of_batch),
        "sin": (angles.clone(), of_batch),
        "keys": (places, {2: ANY, **of_batch}),
        "values": (places.clone(), {2: ANY, **of_batch}),
        "position": (torch.tensor([LENGTH - 1]), {}),
    }
    return Program(module, *zip(*arguments.values(), strict=True))


def last_program(model: LlamaForCausalLM, module: LastStep, one: bool) -> Program:
    """The end of a step, for one sequence or for several."""
    batch = 1 if one else BATCH
    hidden_states = torch.zeros(batch, 1, model.config.hidden_size, dtype=model.dtype)
    return Program(module, (hidden_states,), ({} if one else {0: ANY},))
