"""Tensors under the names that `LlamaForCausalLM` has for them, whatever wrapped it."""

import re
from collections.abc import Mapping

from companion.checkpoints.stored import StoredTensor

# What torch.compile, FSDP and activation checkpointing put between names, anywhere.
WRAPPED = re.compile(
    r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
EMBEDDING = re.compile(r"(|.*\.)embed_tokens\.weight")


def model_names(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors of a model, without what a wrapper (`module.`, `_orig_mod.`) put before.

    A base model's are those of `model.`, as in Hugging Face. The frequencies of RoPE are
    left out: old checkpoints carry them, and they are computed here from the config.

    Raises: ValueError for two tensors that then have the same name.
    """
    bare = {name: WRAPPED.sub("", name) for name in tensors}
    before = wrapper(list(bare.values()))
    base = f"{before}embed_tokens.weight" in bare.values()
    named: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq"):
            continue
        new = bare[name].removeprefix(before)
        if base and new.split(".")[0] in ("embed_tokens", "layers", "norm"):
            new = f"model.{new}"
        if new in named:
            raise ValueError(
                f"{tensor.path.parent} holds {name} and {named[new].name}, which are the "
                "same tensor of a model: keep one of them"
            )
        named[new] = tensor
    return named


def wrapper(names: list[str]) -> str:
    """What stands before the names of a model, if the same stands before all of them."""
    found = [match[1] for match in map(EMBEDDING.fullmatch, names) if match]
    if len(found) != 1:
        return ""
    before = re.sub(r"(?<![^.])model\.$", "", found[0])
    return before if all(name.startswith(before) for name in names) else ""
