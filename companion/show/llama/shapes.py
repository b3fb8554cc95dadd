"""The shape of every module's output, taken while a model runs."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from companion.attention import Attend, attention_weights
from companion.gqa import repeat_kv
from companion.show.llama.weights import replaced_attends

Shapes = dict[str, tuple[int, ...]]


def output_shapes(model: nn.Module, inputs: Tensor) -> Shapes:
    """Run the model; the shape of every module's output under the module's name.

    Each attention also gives its `query`, `key`, `weights` and `heads` (their output).
    """
    shapes: Shapes = {}
    hooks = [
        module.register_forward_hook(recording_hook(shapes, name))
        for name, module in model.named_modules()
    ]
    try:
        with replaced_attends(model, partial(recording_attend, shapes)):
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def recording_hook(shapes: Shapes, name: str) -> Callable[..., None]:
    """A forward hook that notes the shape of a module's output under `name`."""

    def hook(module: nn.Module, arguments: tuple, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output  # as of cos and sin
        shapes[name] = tuple(first.shape)

    return hook


def recording_attend(shapes: Shapes, name: str, attend: Attend) -> Attend:
    """`attend`, noting the shapes that it works on under names that begin with
    `name`.
    """

    def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        output = attend(query, key, value, **options)
        repeated = repeat_kv(key, query.shape[1] // key.shape[1])
        weights = attention_weights(query, repeated)  # masked or not, of one shape
        made = {"query": query, "key": key, "weights": weights, "heads": output}
        shapes.update({f"{name}.{part}": tuple(x.shape) for part, x in made.items()})
        return output

    return attention
