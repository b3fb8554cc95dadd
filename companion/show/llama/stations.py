"""The tensors of one decoder layer, in order: what makes each, here and at Hugging Face."""

from collections.abc import Sequence
from dataclasses import dataclass

from companion.show.ledgers.recorder import Step

HIDDEN = ("batch", "q_len", "hidden")
INNER = ("batch", "q_len", "intermediate")
QUERY = ("batch", "heads", "q_len", "head_dim")
NEW = ("batch", "kv_heads", "q_len", "head_dim")
CACHED = ("batch", "kv_heads", "kv_len", "head_dim")
REPEATED = ("batch", "heads", "kv_len", "head_dim")
SCORES = ("batch", "heads", "q_len", "kv_len")


@dataclass(frozen=True)
class Station:
    """A tensor of a layer: its name here, its axes, how the statement begins that makes
    it, and which of that statement's tensors it is; the same at Hugging Face. Before it
    stand the modules whose weights it takes. One of a `part` is made by a module within
    its statement.
    """

    name: str
    axes: tuple[str, ...]
    ours: str = ""
    tensor: str = ""
    theirs: str = ""
    their_tensor: str = ""
    weights: tuple[str, ...] = ()
    kind: str = "activations"
    part: str = ""
    nth: int = 0


RESIDUAL = "hidden_states = residual + hidden_states"
TURNED = "query_states, key_states = apply_rotary"
STORED = "key_states, value_states = past_key_values.update"
FED = "down_proj = self.down_proj(self.act_fn"
STATIONS = (
    Station("hidden_states", HIDDEN),
    Station("normed", HIDDEN, "normed = self.input_layernorm",
            theirs="hidden_states = self.input_layernorm", weights=("input_layernorm",)),
    Station("query", QUERY, "query = split_heads", theirs="query_states = self.q_proj",
            weights=("self_attn.q_proj",)),
    Station("key", NEW, "key = split_heads", theirs="key_states = self.k_proj",
            weights=("self_attn.k_proj",)),
    Station("value", NEW, "value = split_heads", theirs="value_states = self.v_proj",
            weights=("self_attn.v_proj",)),
    Station("query, turned", QUERY, "query, key = self.rotate", "query", TURNED, "query_states"),
    Station("key, turned", NEW, "query, key = self.rotate", "key", TURNED, "key_states"),
    Station("keys", CACHED, "key, value = past_key_values.update", "key", STORED, "key_states",
            kind="cached"),
    Station("values", CACHED, "key, value = past_key_values.update", "value", STORED, "value_states",
            kind="cached"),
    Station("keys, repeated", REPEATED, "key, value = repeat_for_query_heads", "key",
            "key_states = repeat_kv"),
    Station("values, repeated", REPEATED, "key, value = repeat_for_query_heads", "value",
            "value_states = repeat_kv"),
    Station("scores", SCORES, "scores = query @ key.mT"),
    Station("scaled", SCORES, "scores *= scale", theirs="attn_weights = torch.matmul"),
    Station("masked", SCORES, "scores.masked_fill_", theirs="attn_weights = attn_weights + attention_mask"),
    Station("weights", SCORES, "return masked_softmax", theirs="attn_weights = nn.functional.softmax"),
    Station("heads", QUERY, "return weights @ value", theirs="attn_output = torch.matmul"),
    Station("attended", HIDDEN, "return self.o_proj", theirs="attn_output = self.o_proj",
            weights=("self_attn.o_proj",)),
    Station("+ attended", HIDDEN, "hidden_states = hidden_states + attended", theirs=RESIDUAL),
    Station("normed again", HIDDEN, "normed = self.post_attention",
            theirs="hidden_states = self.post_attention", weights=("post_attention_layernorm",)),
    Station("gate", INNER, "return self.down_proj", theirs=FED, weights=("mlp.gate_proj",),
            part="gate_proj"),
    Station("up", INNER, "return self.down_proj", theirs=FED, weights=("mlp.up_proj",), part="up_proj"),
    Station("gated", INNER, "return F.silu(gate) * up"),
    Station("transformed", HIDDEN, "return self.down_proj", theirs=FED, weights=("mlp.down_proj",),
            part="down_proj"),
    Station("+ transformed", HIDDEN, "return hidden_states + transformed", theirs=RESIDUAL, nth=1),
)  # fmt: skip


def found(
    steps: Sequence[Step], begins: str, tensor: str, nth: int = 0
) -> tuple[str, Step] | None:
    """The statement that begins like this, and its step, or that of a later tensor of it;
    None where no such statement ran.
    """
    places = (i for i, step in enumerate(steps) if step.source.startswith(begins))
    at = next((i for n, i in enumerate(places) if n == nth), None)
    if at is None:
        return None
    return steps[at].source, next(
        s for s in steps[at:] if not tensor or s.name == tensor
    )
