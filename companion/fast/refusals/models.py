"""What the fast forms of a model refuse, with what to do instead."""

from torch import Tensor, nn

from companion.cache import KVCache
from companion.decoder import LlamaAttention, LlamaDecoderLayer
from companion.fast.copies import is_unchanged, plain_linears
from companion.fast.kernels.refusals import check_kernel
from companion.fast.linear import RowLinear
from companion.fast.onednn import PACKED, PackedLinear
from companion.fast.quantized import GROUP
from companion.model import LlamaForCausalLM, LlamaModel
from companion.norm import LlamaRMSNorm
from companion.refusals.cache import check_room, check_whole
from companion.refusals.generate import check_model
from companion.refusals.model import check_ids, check_own_cache


def check_dense(name: str, model: LlamaForCausalLM) -> None:
    """Refuse a model whose weights are not those that were loaded any more.

    Raises: ValueError that names the layer.
    """
    check_model(model)
    for path, each in model.named_modules():
        if isinstance(each, RowLinear | PackedLinear):
            raise ValueError(
                f"{path} is a {type(each).__name__}: {name} takes the model as it was "
                "loaded, in floating point"
            )


def check_packable(model: LlamaForCausalLM) -> None:
    """Refuse what oneDNN has no blocks for, or none that are fast.

    Raises: ValueError that says which dtype or device it is, and what takes it.
    """
    check_dense("packed", model)
    if model.device.type != "cpu":
        raise ValueError(
            f"the model is on {model.device}: packed is a layout for CPUs, elsewhere "
            "use the model as it is"
        )
    if model.dtype not in PACKED:
        raise ValueError(
            f"the model is {model.dtype}: oneDNN packs torch.float32 and "
            "torch.bfloat16; convert with model.to(dtype), or use it as it is"
        )


def check_groups(model: LlamaForCausalLM) -> None:
    """Refuse rows that groups of 4-bit weights do not divide.

    Raises: ValueError that names the layer and its width.
    """
    for path, each in plain_linears(model.model):
        if isinstance(each, nn.Linear) and each.in_features % GROUP:
            raise ValueError(
                f"model.{path} has in_features {each.in_features}, which groups of "
                f"{GROUP} weights do not divide: use int8"
            )


BACKENDS = ("inductor", "aot_eager")


def check_compilable(model: LlamaForCausalLM, backend: str) -> None:
    """Refuse a packed model, whose layout the compiler cannot follow, and other backends.

    Raises: ValueError that names the layer, or the backends that there are.
    """
    check_model(model)
    if backend not in BACKENDS:
        raise ValueError(
            f"backend is {backend!r}: it must be one of {', '.join(BACKENDS)}"
        )
    if type(model.model).forward is not LlamaModel.forward or not is_unchanged(
        model.model
    ):
        raise ValueError(
            "model.model has a hook or a forward of its own, which a compiled model does not "
            "call: put it on model.model.layers or on model.model.norm, or remove it"
        )
    for path, each in model.named_modules():
        if isinstance(each, PackedLinear):
            raise ValueError(
                f"{path} is a PackedLinear, which torch.compile cannot trace: compile "
                "the model that packed was given"
            )


def check_layers(model: LlamaForCausalLM, backend: str) -> None:
    """Refuse layers that compute something else than those that are compiled, and GPUs.

    Raises: ValueError that names the layer or the device, and what takes it.
    """
    check_compilable(model, backend)
    if model.device.type != "cpu":
        raise ValueError(
            f"the model is on {model.device}: compile_prefill is for CPUs; on a GPU use "
            "with_kernels(model)"
        )
    for i, layer in enumerate(model.model.layers):
        attention = getattr(layer, "self_attn", None)
        if (type(layer), type(attention)) != (LlamaDecoderLayer, LlamaAttention):
            raise ValueError(
                f"model.layers.{i} is a {type(layer).__name__} with a "
                f"{type(attention).__name__}: compile_prefill takes LlamaDecoderLayers "
                "with LlamaAttention, as load makes them"
            )
        if not (isinstance(attention, nn.Module) and is_unchanged(attention)):
            raise ValueError(
                f"model.layers.{i}.self_attn has a hook or a forward of its own, between which "
                "compile_prefill would cut: put it on the layer or its o_proj, or remove it"
            )


def check_places(model: LlamaForCausalLM, token: Tensor, cache: KVCache) -> None:
    """Refuse tokens and caches of other sizes: compiled code looks at no shape, it writes.

    Raises: ValueError that says both sizes.
    """
    config, keys = model.config, cache.keys
    if token.ndim != 1 or token.is_floating_point():
        raise ValueError(
            f"token is {tuple(token.shape)} of {token.dtype}: it must be (batch,), an id for "
            "each sequence"
        )
    if token.device.type == "cpu":  # elsewhere looking would wait for the device
        check_ids(token[:, None], config.vocab_size)
    layers, heads = config.num_hidden_layers, config.num_key_value_heads
    expected = (layers, len(token), heads, cache.max_length, config.head_dim)
    if cache.shape != expected or cache.values.shape != keys.shape:
        raise ValueError(
            f"the cache is {cache.shape} and {len(token)} tokens of this model take (layers, "
            f"batch, kv_heads, max_length, head_dim) = {expected}: make it for this batch "
            "and config"
        )
    for name, x in (("keys", keys), ("values", cache.values)):
        if (x.dtype, x.device) != (model.dtype, model.device) or not x.is_contiguous():
            raise ValueError(
                f"the cache's {name} are {x.dtype} on {x.device} and the model {model.dtype} "
                f"on {model.device}: make it with dtype=model.dtype and device=model.device, "
                "leave it contiguous, and compile for no torch.autocast of another dtype"
            )


def check_kernels(model: LlamaForCausalLM) -> None:
    """Refuse a model that the kernels cannot run.

    Raises: ValueError that says what they need, and what runs it as it is.
    """
    check_dense("with_kernels", model)
    if type(model.model.norm) is not LlamaRMSNorm:
        raise ValueError("the model has kernels already: use it as it is")
    if any(hasattr(layer, "pieces") for layer in model.model.layers):
        raise ValueError(
            "the model is compiled for prompts on a CPU: give with_kernels the model that "
            "compile_prefill was given"
        )
    for i, layer in enumerate(model.model.layers):
        norm = layer.post_attention_layernorm
        if type(norm) is not LlamaRMSNorm or not is_unchanged(norm):
            raise ValueError(
                f"model.layers.{i}.post_attention_layernorm is a {type(norm).__name__} or has "
                "a hook, and the kernel that takes its place adds before it norms: use the "
                "model as it is"
            )
    weight = model.model.norm.weight
    check_kernel("rms_norm", "the model as it is", **{"the model": weight})


def check_step(
    compiled_for: LlamaForCausalLM,
    model: LlamaForCausalLM,
    token: Tensor,
    attention_mask: Tensor,
    cache: KVCache,
) -> None:
    """Refuse another model than the one that was compiled, and a cache that does not fit.

    Raises: ValueError that says what differs.
    """
    if model is not compiled_for:
        raise ValueError(
            "this step was compiled for another model: make one with "
            "compile_decode(model)"
        )
    check_own_cache(cache)
    check_whole(cache)
    check_room(cache.length, cache.max_length, 1)
    check_places(model, token, cache)
    expected = (token.shape[0], cache.length + 1)
    if tuple(attention_mask.shape) != expected:
        raise ValueError(
            f"attention_mask is {tuple(attention_mask.shape)} and the cache holds "
            f"{cache.length} tokens, the new one makes {cache.length + 1}: it must be "
            f"(batch, kv_len) = {expected}"
        )
