"""What SmolLM2 writes with each fault of the gallery in its place: greedy, in float32.

All texts are kept in planted.json, and a test writes them again; `python -m
companion.show.planted` takes them anew, in a few minutes.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from companion.exercises import FAULTS
from companion.exercises.planting import Planted
from companion.exercises.writing import whole
from companion.model import LlamaForCausalLM
from companion.show.llama.tokens import Tokenizer

FILE = Path(__file__).with_suffix(".json")
PROMPT = "The sun rises in the"
NEW_TOKENS = 12
RIGHT = "right"  # the name of the text without a fault
FLUENT = 2.5  # nats: the model without a fault thinks each token as likely as one of 12


@dataclass(frozen=True)
class Text:
    """What a model writes after the prompt.

    `moved` is the largest change of a logit as long as the tokens are those of the right
    text, none where logits are not numbers. `nats` is what the right model makes of the
    text: the mean of -log(probability) of its tokens. `margin` is how far apart the two
    likeliest tokens are where they are closest.
    """

    words: str
    pieces: list[str]  # a token's part of the words
    tokens: list[int]
    moved: float | None
    nats: float
    margin: float | None

    @property
    def right_tokens(self) -> int:
        """How many tokens there are before the first that is another than the right one."""
        pairs = enumerate(zip(self.tokens, kept()[RIGHT].tokens, strict=True))
        return next((n for n, (a, b) in pairs if a != b), len(self.tokens))

    @property
    def kind(self) -> str:
        """What the text looks like, in words."""
        if self.moved is None:
            return "NaN"
        if self.right_tokens == len(self.tokens):
            return "the right text"
        if 2 * max(map(self.tokens.count, self.tokens)) > len(self.tokens):
            return "one token for ever"
        return "fluent, but another text" if self.nats < FLUENT else "noise"


def write(model: LlamaForCausalLM, tokenizer: Tokenizer, name: str = RIGHT) -> Text:
    """A text with one fault planted, or with none.

    Raises: ValueError for a fault that is not planted.
    """
    input_ids = torch.tensor([tokenizer.encode(PROMPT)])
    with torch.inference_mode():
        right = whole(model, input_ids, NEW_TOKENS)
    logits = right if name == RIGHT else planted_logits(model, input_ids, name)
    tokens, expected = logits.argmax(-1), right.argmax(-1)
    until = int((tokens == expected).long().cumprod(0).sum()) + 1
    apart, best = (logits[:until] - right[:until]).abs(), logits.topk(2).values
    return Text(
        words=tokenizer.decode(tokens.tolist()),
        pieces=[tokenizer.decode([token]) for token in tokens.tolist()],
        tokens=tokens.tolist(),
        moved=rounded(-apart),
        nats=round(surprise(model, input_ids, tokens), 2),
        margin=rounded(best[:, 0] - best[:, 1]),
    )


def rounded(numbers: Tensor) -> float | None:
    """The size of the least of these numbers, in two digits, none where one is NaN."""
    least = abs(numbers.min().item())
    return None if math.isnan(least) else float(f"{least:.2g}")


def planted_logits(model: LlamaForCausalLM, input_ids: Tensor, name: str) -> Tensor:
    """The logits of each new token, with a fault in its place."""
    fault = FAULTS[name]
    if isinstance(fault.planted, str):
        raise ValueError(f"{name} is not planted: {fault.planted}")
    return fault.planted.logits(fault.wrong, model, input_ids, NEW_TOKENS)


def surprise(model: LlamaForCausalLM, input_ids: Tensor, tokens: Tensor) -> float:
    """The mean of -log(probability) of these tokens after the prompt, in nats."""
    text = torch.cat([input_ids, tokens[None]], dim=-1)
    with torch.inference_mode():
        logits = model(text)[0, input_ids.shape[1] - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, tokens).item()


@cache
def kept() -> dict[str, Text]:
    """All texts by the fault's name, as they were written last."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: Text(**text) for name, text in stored.items()}


def main() -> None:
    """Write all texts anew."""
    from companion.checkpoints import load

    model, tokenizer = load(device="cpu")
    assert tokenizer is not None
    names = [n for n, fault in FAULTS.items() if isinstance(fault.planted, Planted)]
    texts = {name: asdict(write(model, tokenizer, name)) for name in (RIGHT, *names)}
    lines = [f"{json.dumps(n)}: {json.dumps(text)}" for n, text in texts.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
