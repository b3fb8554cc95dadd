"""The modules of a model as a tree, and where parts of it may be exchanged."""

from collections.abc import Iterator, Mapping

from torch import nn

from companion.show.figures.frames import frame, tensor_box
from companion.show.figures.svg import MONO, Figure, svg, text
from companion.show.look.palette import EDGE

WIDTH, ROW, INDENT = 356, 26, 16


def module_tree(model: nn.Module, plugs: Mapping[str, str], caption: str) -> Figure:
    """The modules of a model, each under the one that it is part of; those with weights of
    their own on sand, with the shape (out, in). `plugs` names modules that may be
    exchanged, and what for.

    Raises: ValueError for a plug that is no module of the model.
    """
    names = {name for name, _ in model.named_modules()}
    if missing := [name for name in plugs if name not in names]:
        raise ValueError(f"{', '.join(missing)}: no module of this model has that name")
    body, told, top = [], [], 2
    for depth, name, module in walk(model):
        left = 4 + depth * INDENT
        label = name.rpartition(".")[2] or type(module).__name__
        shape = own_shape(module)
        if shape:
            body.append(
                tensor_box(left - 2, top + 2, WIDTH - left - 2, ROW - 4, "weights")
            )
            body.append(
                text(
                    WIDTH - 10, top + ROW / 2, shape, anchor="end", size=12, extra=MONO
                )
            )
        body.append(text(left + 6, top + ROW / 2, label, anchor="start", size=13))
        if depth:
            body.append(f'<path d="M{left - 8} {top + ROW / 2}h6" stroke="{EDGE}"/>')
        if name in plugs:
            body.append(frame(left - 1, top + 1, WIDTH - left - 3, ROW - 2))
            offer = f"← {plugs[name]}"
            body.append(text(WIDTH - 10, top + ROW / 2, offer, anchor="end", size=12))
        told.append(
            f"{label}{f' {shape}' if shape else ''}{f', {plugs[name]}' if name in plugs else ''}"
        )
        top += ROW
    alt = f"The modules of {type(model).__name__}: {'; '.join(told)}"
    return Figure((svg(WIDTH, top + 2, "".join(body), alt),), alt, caption)


def walk(model: nn.Module) -> Iterator[tuple[int, str, nn.Module]]:
    """Each module with its depth and name, a parent before its children."""
    for name, module in model.named_modules():
        yield name.count(".") + bool(name), name, module


def own_shape(module: nn.Module) -> str:
    """The shape of a module's own weight, or nothing."""
    weight = getattr(module, "weight", None)
    return "" if weight is None else str(tuple(weight.shape))
