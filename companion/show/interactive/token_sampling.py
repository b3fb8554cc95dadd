"""The next token's probabilities, as temperature, top-k and top-p reshape them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from companion.model import LlamaForCausalLM
from companion.refusals.sampling import check_sampling
from companion.sampling import next_token_probabilities
from companion.show.figures.bars import bars
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.llama.tokens import Tokenizer
from companion.show.tables import Table, table

Settings = Mapping[str, Any]

EXACT = 64  # likeliest tokens, whose logits the figure has
SHOWN = 20  # of them have a row
STEP = 0.02  # of the other logits, which are counted
START: Settings = {"temperature": 0.8, "top_k": 10, "top_p": 0.9}


def token_sampling(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    caption: str,
    settings: Settings = START,
) -> Interactive:
    """The likeliest tokens after each of the prompts; temperature, top_k and top_p can be
    changed, and what they refuse is said in the package's words.

    The 64 largest logits are exact; the others are known in steps of 0.02, which moves no
    share by as much as 0.1%, and says of any top_k or top_p what is left.

    Raises: ValueError for no prompt, and for settings that `next_token_probabilities`
    refuses.
    """
    if not prompts:
        raise ValueError("there are no prompts: give one or more")
    logits = [next_logits(model, tokenizer, prompt) for prompt in prompts]
    trace = {
        "prompts": [
            {"text": prompt, **compact(row, tokenizer)}
            for prompt, row in zip(prompts, logits, strict=True)
        ],
        "vocab": len(logits[0]),
        "step": STEP,
        "shown": SHOWN,
        "start": {"top_k": None, "top_p": None, **settings},
        "refused": refusals(),
    }
    reshaped = {
        "as it is": next_token_probabilities(logits[0][None])[0],
        worded(settings): next_token_probabilities(logits[0][None], **settings)[0],
    }
    ids = logits[0].topk(min(SHOWN, len(logits[0]))).indices
    labels = [repr(tokenizer.decode([token])) for token in ids.tolist()]
    drawn = bars(labels, {name: p[ids] for name, p in reshaped.items()}, caption)
    alt = f"The likeliest tokens after {prompts[0]!r}: {drawn.alt}"
    still = Figure(drawn.panels, alt, caption)
    return Interactive("token-sampling", trace, still, as_table(labels, ids, reshaped))


def next_logits(model: LlamaForCausalLM, tokenizer: Tokenizer, prompt: str) -> Tensor:
    """Logits (vocab,) of what follows the prompt, in float32."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        ids = torch.tensor([tokenizer.encode(prompt)], device=device)
        return model(ids)[0, -1].float().cpu()


def compact(logits: Tensor, tokenizer: Tokenizer) -> dict[str, Any]:
    """The likeliest tokens in words with their logits, and how many of the others are in
    each step below the last of them.
    """
    ordered, ids = logits.sort(descending=True, stable=True)
    exact = ordered[:EXACT]
    steps = ((exact[-1] - ordered[EXACT:]) / STEP).floor().long()
    return {
        "tokens": [repr(tokenizer.decode([token])) for token in ids[:EXACT].tolist()],
        "logits": [float(f"{logit:.9g}") for logit in exact.tolist()],
        "others": steps.bincount().tolist(),
    }


def refusals() -> dict[str, str]:
    """What the package says of settings that it refuses, with {} for what came."""
    wrong = {"temperature": -1.0, "top_k": -1, "top_p": 2.0}
    said = {
        name: refusal(**{"temperature": 1.0, name: value}).replace(repr(value), "{}", 1)
        for name, value in wrong.items()
    }
    limited = refusal(temperature=0, top_k=7, top_p=0.5)
    named = limited.replace("(7)", "({top_k})").replace("(0.5)", "({top_p})")
    return {**said, "limited": named}


def refusal(**settings: Any) -> str:
    """Why the package refuses these settings; nothing where it takes them."""
    try:
        check_sampling(**settings)
    except ValueError as error:
        return str(error)
    return ""


def as_table(
    labels: Sequence[str], ids: Tensor, reshaped: Mapping[str, Tensor]
) -> Table:
    """A row for each token that is shown, and one for all others."""
    rows = [
        (label, *(percent(p[token].item()) for p in reshaped.values()))
        for label, token in zip(labels, ids.tolist(), strict=True)
    ]
    rest = [percent(1 - p[ids].sum().item()) for p in reshaped.values()]
    return table(("token", *reshaped), [*rows, ("all others", *rest)])


def percent(share: float) -> str:
    """A share with one digit after the point, and nothing for none."""
    return f"{100 * share:.1f}%" if share > 1e-6 else "none"


def worded(settings: Settings) -> str:
    """The settings that are there, in words."""
    given = (f"{name} {x:g}" for name, x in settings.items() if x is not None)
    return ", ".join(given)
