"""All heads of a model at once, each as the map of its weights; one of them large."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from companion.model import LlamaForCausalLM
from companion.show.figures.heatmaps import weights_panel
from companion.show.figures.svg import Figure
from companion.show.figures.thumbnails import layers_across, thumbnails
from companion.show.interactive.element import Interactive
from companion.show.llama.shares import shares_of_heads
from companion.show.llama.tokens import Tokenizer
from companion.show.llama.weights import weights_of_heads
from companion.show.tables import table

Heads = Float[Tensor, "layers heads q_len kv_len"]

STEPS = 255  # of a weight, which is a byte
FEWEST, MOST = 3, 16  # tokens of a sentence: to have a token before, to fit on a phone
# What a head's weights can go to, as the mean over the queries that have such a key.
SHARES = {
    "first": "the first token",
    "itself": "the token itself",
    "before": "the token before",
    "followed": "what followed the same token",
}


def head_atlas(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    caption: str,
) -> Interactive:
    """The weights of every head for each of the sentences, a thumbnail for each head; the
    heads can be ordered by what they attend.

    Weights are rounded to whole 255ths. Which head is large at first: of the first
    sentence, the one that attends most to what followed the same token; without a
    repetition, to the token before.

    Raises: ValueError for no sentence, and for one of fewer than 3 or more than 16 tokens.
    """
    if not sentences:
        raise ValueError("there are no sentences: give one or more")
    recorded = [record(model, tokenizer, sentence) for sentence in sentences]
    of_first = recorded[0]["shares"]
    start = most_first(of_first.get("followed", of_first["before"]))[0]
    config = model.config
    sizes = config.num_hidden_layers, config.num_attention_heads
    trace = {
        "layers": sizes[0],
        "heads": sizes[1],
        "kvHeads": config.num_key_value_heads,
        "columns": layers_across(sizes[0]),
        "words": SHARES,
        "start": start,
        "sentences": [
            {**each, "weights": packed(each["weights"])} for each in recorded
        ],
    }
    return Interactive(
        "head-atlas",
        trace,
        still(recorded[0], start, caption),
        table(("sentence", "weight on", "heads with most of it"), leaders(recorded)),
    )


def record(
    model: LlamaForCausalLM, tokenizer: Tokenizer, sentence: str
) -> dict[str, Any]:
    """A sentence, its tokens in words, the weights of every head, and their shares in
    thousandths.
    """
    ids = tokenizer.encode(sentence)
    if not FEWEST <= len(ids) <= MOST:
        raise ValueError(
            f"{sentence!r} has {len(ids)} tokens: an atlas shows {FEWEST} to {MOST}"
        )
    device = next(model.parameters()).device
    weights = weights_of_heads(model, torch.tensor([ids], device=device)).float().cpu()
    shares = {
        name: [round(1000 * share) for share in each.flatten().tolist()]
        for name, each in shares_of_heads(weights, ids).items()
    }
    words = [tokenizer.decode([token]).strip() or "␣" for token in ids]
    return {"text": sentence, "tokens": words, "weights": weights, "shares": shares}


def packed(weights: Heads) -> str:
    """The lower triangles, row after row and head after head, a byte a weight, in base64."""
    return b64encode(in_bytes(weights).numpy().tobytes()).decode()


def in_bytes(weights: Heads) -> UInt8[Tensor, "heads_of_all cells"]:
    """The weights on a query's own and earlier tokens, in whole 255ths."""
    rows, columns = torch.tril_indices(*weights.shape[-2:])
    steps = (weights[..., rows, columns] * STEPS).round()
    return steps.to(torch.uint8).flatten(0, 1)


def most_first(shares: Sequence[int]) -> list[int]:
    """The heads in the order of their shares; where these are the same, of the layers."""
    return sorted(range(len(shares)), key=lambda head: -shares[head])


def leaders(
    recorded: Sequence[dict[str, Any]], count: int = 5
) -> list[tuple[str, ...]]:
    """The heads with most weight on what `SHARES` names, sentence after sentence."""
    rows: list[tuple[str, ...]] = []
    for each in recorded:
        heads = each["weights"].shape[1]
        for name, shares in each["shares"].items():
            said = [
                f"layer {k // heads} head {k % heads}: {shares[k] / 10:.0f}%"
                for k in most_first(shares)[:count]
            ]
            rows.append((each["text"], SHARES[name], ", ".join(said)))
    return rows


def still(recorded: dict[str, Any], start: int, caption: str) -> Figure:
    """The thumbnails of one sentence, and one head large."""
    weights, words = recorded["weights"], recorded["tokens"]
    layer, head = divmod(start, weights.shape[1])
    large = weights_panel(
        weights[layer, head], words, words, f"layer {layer}, head {head}"
    )
    alt = (
        f"Attention weights of {weights.shape[0]} layers with {weights.shape[1]} heads each "
        f"for “{recorded['text']}”; layer {layer}, head {head} large"
    )
    return Figure((thumbnails(weights), large), alt, caption)
