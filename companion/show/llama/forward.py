"""The forward pass as one picture, its shapes taken from the modules while they
run.
"""

from jaxtyping import Float, Int
from torch import Tensor

from companion.decoder import LlamaDecoderLayer
from companion.model import LlamaForCausalLM
from companion.show.figures.svg import ACCENT, SECOND, Figure
from companion.show.llama.flow import Row, addition, column, function, module, plain
from companion.show.llama.shapes import Shapes, output_shapes


def forward_picture(
    model: LlamaForCausalLM, input_ids: Int[Tensor, "batch length"], caption: str
) -> Figure:
    """The model from ids to logits, and one decoder layer opened beside it, with
    the shapes of this call.
    """
    shapes = output_shapes(model, input_ids)
    hidden, layers = shapes["model.embed_tokens"], len(model.model.layers)
    rows = [
        plain("input_ids", tuple(input_ids.shape)),
        module("embed_tokens", hidden),
        function(f"decoder layer × {layers}", shapes["model.layers.0"]),
        module("norm", shapes["model.norm"]),
        module("lm_head", shapes[""]),
        plain("argmax → next token", (input_ids.shape[0],)),
    ]
    alt = (
        f"The forward pass: ids {tuple(input_ids.shape)} become hidden states "
        f"{hidden}, pass {layers} decoder layers of unchanged shape, a norm and the "
        f"head, and come out as logits {shapes['']}"
    )
    panels = (column("the model", rows, alt), layer_panel(shapes, "model.layers.0."))
    return Figure(panels, alt, caption)


def layer_picture(
    layer: LlamaDecoderLayer,
    hidden_states: Float[Tensor, "batch length hidden"],
    caption: str,
) -> Figure:
    """One decoder layer, with the shapes of this call."""
    panel = layer_panel(output_shapes(layer, hidden_states), "")
    return Figure(
        (panel,),
        "The steps of one decoder layer, two of them added to the residual stream",
        caption,
    )


def layer_panel(shapes: Shapes, prefix: str) -> str:
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
    rows = [
        plain("hidden_states", shapes[f"{prefix}input_layernorm"]),
        module("input_layernorm", shapes[f"{prefix}input_layernorm"]),
        Row(
            tuple((name, inside[name]) for name in ("q_proj", "k_proj", "v_proj")),
            ACCENT,
        ),
        Row((("RoPE(query)", query), ("RoPE(key)", key), ("value", key)), SECOND, 0.22),
        function("query @ keyᵀ, scaled", inside["weights"]),
        function("mask, softmax", inside["weights"]),
        function("weights @ value", inside["heads"]),
        module("o_proj", projected),
        addition(attended),
        module("post_attention_layernorm", normed),
        module("gate_proj, up_proj", gated),
        function("silu(gate) · up", gated),
        module("down_proj", shapes[f"{prefix}mlp.down_proj"]),
        addition(shapes[prefix.removesuffix(".")]),
    ]
    return column(
        "one decoder layer",
        rows,
        "The steps of one decoder layer and the shapes that leave them",
    )
