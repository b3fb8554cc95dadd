"""Copies of a model: what they share with it, and which of its Linears are for replacing."""

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

from torch import nn

from companion.fast.linear import RowLinear
from companion.fast.quantized import Int4Linear, Int8Linear

LINEARS = nn.Linear, RowLinear, Int8Linear, Int4Linear
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def in_the_same_memory(module: AnyModule) -> AnyModule:
    """A copy with parameters of its own that lie where the module's do: to convert or to
    move it leaves the module as it is.
    """
    parameters = {
        id(x): nn.Parameter(x.detach(), x.requires_grad) for x in module.parameters()
    }
    return deepcopy(module, parameters)


def with_the_same_parameters(module: AnyModule) -> AnyModule:
    """A copy of the very parameters: what becomes of the module's becomes of it."""
    return deepcopy(module, {id(x): x for x in module.parameters()})


def plain_linears(
    module: nn.Module,
) -> Iterator[tuple[str, nn.Linear | RowLinear]]:
    """Each Linear that is all that its class says and is called by a module of ours, by
    name. One that someone has wrapped, hooked or derived does more, and stays.
    """
    for path, parent in module.named_modules():
        if type(parent).__module__.startswith("companion."):
            for name, each in parent.named_children():
                is_plain = type(each) in LINEARS and is_unchanged(each)
                if is_plain and isinstance(each, nn.Linear | RowLinear):
                    yield f"{path}.{name}".lstrip("."), each


def is_unchanged(module: nn.Module) -> bool:
    """Whether calling a module is calling its class: no hook, and no other `forward`."""
    hooks = module._forward_hooks, module._forward_pre_hooks
    return "forward" not in vars(module) and not any(hooks)
