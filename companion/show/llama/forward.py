"""The forward pass as one picture, its shapes taken from the modules while they
run.
"""

from jaxtyping import Float, Int
from torch import Tensor

from companion.decoder import LlamaDecoderLayer
from companion.model import LlamaForCausalLM
from companion.show.figures.svg import Figure
from companion.show.llama.flow import HIDDEN, Column, Row, row, side_by_side
from companion.show.llama.shapes import Shapes, output_shapes

PRODUCT = ("batch", "q_len", "")  # of an axis that is none of the six
QUERY = ("batch", "heads", "q_len", "head_dim")
KEY = ("batch", "kv_heads", "kv_len", "head_dim")
SCORES = ("batch", "heads", "q_len", "kv_len")


def forward_picture(
    model: LlamaForCausalLM, input_ids: Int[Tensor, "batch length"], caption: str
) -> Figure:
    """The model from ids to logits, and one decoder layer opened beside it, with
    the shapes of this call.
    """
    shapes = output_shapes(model, input_ids)
    hidden, layers = shapes["model.embed_tokens"], len(model.model.layers)
    batch = input_ids.shape[0]
    layer = f"decoder layer × {layers}"
    rows = [
        row("", ("input_ids", tuple(input_ids.shape), ("batch", "q_len"))),
        row("weights", ("embed_tokens", hidden, HIDDEN)),
        row("weights", (layer, shapes["model.layers.0"], HIDDEN)),
        row("weights", ("norm", shapes["model.norm"], HIDDEN)),
        row("weights", ("lm_head", shapes[""], PRODUCT)),
        row("", ("argmax → next token", (batch,), ("batch",))),
    ]
    alt = (
        f"The forward pass: ids {tuple(input_ids.shape)} become hidden states "
        f"{hidden}, pass {layers} decoder layers of unchanged shape, a norm and the "
        f"head, and come out as logits {shapes['']}"
    )
    inside = layer_column(layer_rows(shapes, "model.layers.0."))
    return side_by_side([Column("the model", rows, alt), inside], alt, caption)


def layer_picture(
    layer: LlamaDecoderLayer,
    hidden_states: Float[Tensor, "batch length hidden"],
    caption: str,
) -> Figure:
    """One decoder layer, with the shapes of this call."""
    inside = layer_column(layer_rows(output_shapes(layer, hidden_states), ""))
    alt = "The steps of one decoder layer, two of them added to the residual stream"
    return side_by_side([inside], alt, caption)


def layer_column(rows: list[Row]) -> Column:
    """One decoder layer under its title."""
    alt = "The steps of one decoder layer and the shapes that leave them"
    return Column("one decoder layer", rows, alt)


def layer_rows(shapes: Shapes, prefix: str) -> list[Row]:
    """The steps of the decoder layer whose modules are recorded under `prefix`."""
    names = (
        "self_attn",
        "self_attn.o_proj",
        "post_attention_layernorm",
        "mlp.gate_proj",
    )
    attended, projected, normed, gated = (shapes[prefix + name] for name in names)
    inside = {
        name: shapes[f"{prefix}self_attn.{name}"]
        for name in ("q_proj", "k_proj", "v_proj", "query", "key", "weights", "heads")
    }
    query, key = inside["query"], inside["key"]
    weights, heads = inside["weights"], inside["heads"]
    projections = [
        (name, inside[name], PRODUCT) for name in ("q_proj", "k_proj", "v_proj")
    ]
    turned = ("RoPE(query)", query, QUERY), ("RoPE(key)", key, KEY), ("value", key, KEY)
    normed_in = shapes[f"{prefix}input_layernorm"]
    down, out = shapes[f"{prefix}mlp.down_proj"], shapes[prefix.removesuffix(".")]
    return [
        row("", ("hidden_states", normed_in, HIDDEN)),
        row("weights", ("input_layernorm", normed_in, HIDDEN)),
        row("weights", *projections),
        row("activations", *turned),
        row("activations", ("query @ keyᵀ, scaled", weights, SCORES)),
        row("activations", ("mask, softmax", weights, SCORES)),
        row("activations", ("weights @ value", heads, QUERY)),
        row("weights", ("o_proj", projected, HIDDEN)),
        row("activations", ("+ residual", attended, HIDDEN), adds=True),
        row("weights", ("post_attention_layernorm", normed, HIDDEN)),
        row("weights", ("gate_proj, up_proj", gated, PRODUCT)),
        row("activations", ("silu(gate) · up", gated, PRODUCT)),
        row("weights", ("down_proj", down, HIDDEN)),
        row("activations", ("+ residual", out, HIDDEN), adds=True),
    ]
