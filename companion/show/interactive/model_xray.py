"""A whole model under a few tokens: what leaves the embedding and every layer, as one
picture, and the words that the head makes of it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.model import LlamaForCausalLM
from companion.show.figures.strips import bars, strips
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.interactive.lens import Lens, lens, visible
from companion.show.interactive.pixels import levels, pooled
from companion.show.ledgers.ledger import Ledger, ledger
from companion.show.ledgers.recorder import Step
from companion.show.llama.tokens import Tokenizer
from companion.show.tables import Table, amount, table

CELLS = 72  # for each token and step
FULL = 3  # what has its full color, in root mean squares of its token
WORDS = 5
ROOM = 8  # tokens


def model_xray(
    model: LlamaForCausalLM, tokenizer: Tokenizer, prompt: str, caption: str
) -> Interactive:
    """The hidden states that leave the embedding, every layer and the last norm, for each
    token of a prompt, and what the head says after each of them.

    Values stand beside the root mean square of their token, by which RMSNorm divides what
    a layer reads; of the features that share a cell the largest is shown.

    Raises: ValueError for a prompt of no token, or of more than there is room for.
    """
    ids = tokenizer.encode(prompt)
    if not 1 <= len(ids) <= ROOM:
        raise ValueError(
            f"{prompt[:40]!r} has {len(ids)} tokens: the picture has room for 1 to {ROOM}"
        )
    stations, head = stations_of(ledger(model, torch.tensor([ids]), depth=1))
    hidden = torch.cat([step.value for step in stations]).float()
    read = lens(model, tokenizer, hidden, WORDS)
    tokens = [visible(tokenizer.decode([each])) for each in ids]
    names = ["embedding", *(f"layer {i}" for i in range(len(stations) - 2)), "norm"]
    steps = [*stations, head]
    codes = list(dict.fromkeys(step.source for step in steps))
    trace = {
        "tokens": tokens,
        "names": [*names, "head"],
        "codes": codes,
        "steps": [[codes.index(step.source), *costs(step)] for step in steps],
        "shapes": [step.shape for step in steps],
        "peaks": peaks(hidden),
        "words": read.words,
        "lens": read.found,
    }
    drawn = strips(tokens, names, cells(hidden), hidden.shape[-1], FULL)
    panels = f'<div class="panels">{drawn}{bars(tokens[-1], read)}</div>'
    alt = (
        f"{len(tokens)} tokens pass the embedding, {len(names) - 2} layers and a norm; after "
        f"{tokens[-1]} the head gives {', '.join(f'{w} {p:.1%}' for w, p in read.likeliest())}"
    )
    every = as_table([*names, "head"], steps, read, tokens[-1])
    return Interactive("model-xray", trace, Figure((panels,), alt, caption), every)


def stations_of(ran: Ledger) -> tuple[list[Step], Step]:
    """The steps that make hidden states, and the one that makes logits of them."""
    *inside, head = ran.steps
    width = inside[-1].shape
    made = (step for step in inside if step.function == "LlamaModel.forward")
    return [step for step in made if step.shape == width], head


def costs(step: Step) -> tuple[int, int, int]:
    """FLOPs, bytes read, bytes written."""
    return step.flops, step.bytes_read, step.bytes_written


def peaks(hidden: Float[Tensor, "steps q_len hidden"]) -> list[list[list[float]]]:
    """For each step and token the root mean square, the largest value, and its place, in
    three digits.
    """
    size = hidden.pow(2).mean(dim=-1).sqrt()
    at = hidden.abs().argmax(dim=-1, keepdim=True)
    joined = torch.stack([size, hidden.gather(-1, at)[..., 0], at[..., 0]], dim=-1)
    return [
        [[float(f"{x:.3g}") for x in each] for each in step] for step in joined.tolist()
    ]


def cells(hidden: Float[Tensor, "steps q_len hidden"]) -> Tensor:
    """All steps in levels, a row each, the tokens beside each other."""
    beside = hidden / hidden.pow(2).mean(dim=-1, keepdim=True).sqrt()
    small = [pooled(each, len(hidden), CELLS) for each in beside.unbind(1)]
    return levels(torch.cat(small, dim=1), FULL)


def as_table(names: list[str], steps: list[Step], read: Lens, last: str) -> Table:
    """Each step, what it costs, and the likeliest word; what the layers cost is alike."""
    rows: list[tuple[object, ...]] = []
    for i, (name, step) in enumerate(zip(names, steps, strict=True)):
        word, share = read.likeliest(min(i, len(read.found) - 1))[0]
        flops, read_, written = costs(step)
        rows.append(
            (
                name,
                step.shape,
                amount(flops),
                amount(read_, "B"),
                amount(written, "B"),
                f"{word} {share:.0%}",
            )
        )
    return table(("step", "shape", "FLOPs", "read", "written", f"after {last}"), rows)
