"""Names for the sizes that a Llama's config gives."""

from collections import Counter
from collections.abc import Mapping

from companion.config import LlamaConfig


def llama_axes(
    config: LlamaConfig, q_len: int, kv_len: int | None = None, batch: int = 1
) -> dict[str, int]:
    """The axes of a Llama's tensors, for `ledger(axes=...)`.

    Only sizes that mean one thing are named: where two axes are equally long, neither
    is, and 1 is no name's, because an axis that is broadcast has that size too. Two
    are one axis where they are always equal: `length` (q_len = kv_len), `heads`
    without grouping.

    Raises: ValueError for a length or a batch below 1.
    """
    kv_len = q_len if kv_len is None else kv_len
    for name, size in (("q_len", q_len), ("kv_len", kv_len), ("batch", batch)):
        if size < 1:
            raise ValueError(f"{name} is {size}: it must be at least 1")
    sizes = {
        "batch": batch,
        **(
            {"length": q_len} if q_len == kv_len else {"q_len": q_len, "kv_len": kv_len}
        ),
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "intermediate": config.intermediate_size,
        "vocab": config.vocab_size,
    }
    if config.num_key_value_heads == config.num_attention_heads:
        del sizes["kv_heads"]
    times = Counter(sizes.values())
    return {n: size for n, size in sizes.items() if size > 1 and times[size] == 1}


def named(shape: tuple[int, ...], axes: Mapping[str, int]) -> str:
    """A shape in the names of its axes, or nothing without names."""
    names = {size: name for name, size in axes.items()}
    return f"({', '.join(names.get(n, str(n)) for n in shape)})" if names else ""


def check_axes(axes: Mapping[str, int]) -> None:
    """Refuse names of which two have one size."""
    if len(set(axes.values())) < len(axes):
        raise ValueError(
            f"two of the axes {dict(axes)} have one size, and a name would be a guess: "
            "choose sizes that differ, or name only one; for a Llama, llama_axes does"
        )
