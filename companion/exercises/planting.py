"""A fault of the gallery in a whole Llama: its function in the place of the right one, and
what the model then writes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.exercises.writing import whole
from companion.model import LlamaForCausalLM

# From a wrong function and the module, class or layer in which it is planted to what stands there.
Made = Callable[[Callable[..., Any], Any], Callable[..., Any]]
Write = Callable[[LlamaForCausalLM, Tensor, int], Tensor]


def as_it_is(wrong: Callable[..., Any], owner: Any) -> Callable[..., Any]:
    """The wrong function itself, where it has the signature of what it replaces."""
    return wrong


@dataclass(frozen=True)
class Planted:
    """Where a fault stands in the model's path, and how text is written with it.

    A place is an attribute of the package, "companion.decoder.apply_rope", or of a model,
    "model.layers.*.self_attn.attend", the star for every layer.
    """

    places: Mapping[str, Made]
    write: Write = whole

    def logits(
        self,
        wrong: Callable[..., Any],
        model: LlamaForCausalLM,
        input_ids: Int[Tensor, "1 length"],
        new_tokens: int,
    ) -> Float[Tensor, "new_tokens vocab"]:
        """The logits from which each new token is taken, the likeliest."""
        with torch.inference_mode(), self.in_place(wrong, model):
            return self.write(model, input_ids, new_tokens)

    @contextmanager
    def in_place(
        self, wrong: Callable[..., Any], model: LlamaForCausalLM
    ) -> Iterator[None]:
        """The wrong function in all its places, for as long as the block runs."""
        with ExitStack() as stack:
            for place, made in self.places.items():
                path, _, name = place.rpartition(".")
                for owner in owners(path, model):
                    replacement = made(wrong, owner)
                    stack.enter_context(mock.patch.object(owner, name, replacement))
            yield


def owners(path: str, model: LlamaForCausalLM) -> list[Any]:
    """The module or class of the package, or the parts of the model, that a path names."""
    if path.startswith("companion."):
        return [resolve_name(path)]
    before, star, after = path.partition(".*.")
    if not star:
        return [model.get_submodule(path)]
    layers = model.get_submodule(before).children()
    return [layer.get_submodule(after) for layer in layers]
