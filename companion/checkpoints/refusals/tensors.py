"""Tensors that are not those of the config: which, and what the file then likely is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from companion.checkpoints.refusals.shapes import check_shape
from companion.checkpoints.stored import StoredTensor
from companion.config import LlamaConfig

# What surplus names of another kind of file have in them, and what to do about it.
SIGNS = {
    r"lora_|\.base_layer\.|modules_to_save": "an adapter is wrapped around its layers: "
    "merge it (peft's merge_and_unload) and save again",
    r"\.(qweight|qzeros|scales|g_idx|absmax|SCB|weight_packed|weight_scale\w*|"
    r"input_scale|weight\.absmax|weight\.quant_\w+)": "its weights are quantized: load "
    "the model as it was before, or a GGUF of it",
    r"\.attention\.w[qkvo]\.|tok_embeddings|feed_forward\.w": "its names are those of "
    "Meta's and Mistral's own code: get the model as the transformers library has it",
    r"^(transformer|gpt_neox|h|wte)\.": "its names are those of another architecture, "
    "such as GPT-2",
    r"qkv_proj|gate_up_proj|W_pack|query_key_value|[Ww]qkv|c_attn": "its projections are "
    "fused, several in one matrix, as another architecture or an engine keeps them: get "
    "the model as transformers' Llama has it",
    r"[qk]_norm|feedforward_layernorm|expert|block_sparse_moe|router": "its layers have "
    "parts that a Llama's have not: it is of another architecture",
    r"^(model\.)?(vision|audio|multi_modal|mm_)": "it is a model of pictures or sound "
    "around a Llama: save its language model alone",
    r"^(model\.)?(score|classifier|v_head|value_head|medusa|fc)\b": "it has another head "
    "than a language model's, such as a classifier's",
    r"rope_factors_": "its RoPE is scaled by 'longrope', which is not computed here",
}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
MLP = {"gate_proj", "up_proj", "down_proj"}


def check_tensors(
    config: LlamaConfig,
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, StoredTensor],
    path: Path,
) -> None:
    """Refuse a checkpoint that lacks a tensor, or has another or one of another shape."""
    missing = sorted(expected.keys() - tensors)
    surplus = sorted(tensors.keys() - expected)
    said = []
    if missing:
        said.append(f"lacks {counted(missing, 'tensor')}, that its config asks for")
    if surplus:
        stored = [tensors[name].name for name in surplus]
        named = counted(stored, "surplus tensor")
        said.append(f"has {named}, that its config does not ask for")
    if said:
        why = likely_cause(config, missing, surplus, tensors, path)
        raise ValueError(f"{path} {' and '.join(said)}: {why}")
    for name, shape in expected.items():
        check_shape(config, name, tensors[name].shape, shape, path)


def counted(names: list[str], noun: str) -> str:
    """How many there are, and the names of the first three."""
    few = ", ".join([*names[:3], *["..."][: len(names) > 3]])
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''}, {few}"


def likely_cause(
    config: LlamaConfig,
    missing: list[str],
    surplus: list[str],
    tensors: Mapping[str, StoredTensor],
    path: Path,
) -> str:
    """What the file is if it is whole, and the remedy for that."""
    stored = [tensors[name].name for name in surplus]
    for sign, what in SIGNS.items():
        if any(re.search(sign, name) for name in (*surplus, *stored)):
            return what
    different = {*missing, *surplus}
    if all(name.endswith("_proj.bias") for name in different):
        return biases(missing, surplus)
    if different == {"lm_head.weight"}:
        return (
            "if its head is the embedding, set tie_word_embeddings to true in "
            "config.json; else it is a base model, saved without its head"
        )
    return other_layers(config, different, count_layers(tensors), path)


def other_layers(config: LlamaConfig, different: set[str], has: int, path: Path) -> str:
    """What to do about another number of layers, or where nothing is known."""
    said = config.num_hidden_layers
    if has != said and all(layer_of(name) >= min(has, said) for name in different):
        change = f"set num_hidden_layers to {has} in config.json"
        return (
            f"it has {has} layers and its config {said}: "
            f"{change if path.is_dir() else 'convert it again'} if {has} are all, or "
            "download it again"
        )
    if path.is_dir():
        return (
            "its files are not all of the model, or config.json is that of another: "
            "download both again"
        )
    return "it is not whole, or of another architecture: convert or download it again"


def biases(missing: list[str], surplus: list[str]) -> str:
    """What to set where only the biases differ."""
    value = "true" if surplus else "false"
    parts = {name.split(".")[-2] for name in (*missing, *surplus)}
    if (missing and surplus) or not all(
        parts & g in (set(), g) for g in (ATTENTION, MLP)
    ):
        return (
            f"these are biases of {', '.join(sorted(parts))}, and only all of q_proj, "
            "k_proj, v_proj, o_proj or none, and all of gate_proj, up_proj, down_proj or "
            "none, are computed: it may be of another architecture, such as Qwen2"
        )
    names = [
        name
        for name, group in (("attention_bias", ATTENTION), ("mlp_bias", MLP))
        if group <= parts
    ]
    return f"set {' and '.join(names)} to {value} in config.json"


def count_layers(names: Iterable[str]) -> int:
    """How many layers tensors are of."""
    return 1 + max(map(layer_of, names), default=-1)


def layer_of(name: str) -> int:
    """The number of a tensor's layer; -1 for one outside of them."""
    match = re.match(r"model\.layers\.(\d+)\.", name)
    return int(match[1]) if match else -1
