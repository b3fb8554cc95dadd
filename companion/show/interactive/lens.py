"""The head, applied where it is not: what it makes of the hidden states of every layer.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.model import LlamaForCausalLM
from companion.show.llama.tokens import Tokenizer

SEEN = str.maketrans(" \n\t\xa0", "␣⏎⇥⍽")


@dataclass(frozen=True)
class Lens:
    """The likeliest words: `found[step][token]` has the number of a word in `words` and
    its share in thousandths, in turn.
    """

    words: list[str]
    found: list[list[list[int]]]

    def likeliest(self, step: int = -1, token: int = -1) -> list[tuple[str, float]]:
        """The words of a step after a token, with their shares."""
        numbers = self.found[step][token]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [(self.words[word], share / 1000) for word, share in pairs]


def lens(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    hidden: Float[Tensor, "steps q_len hidden"],
    count: int,
) -> Lens:
    """The `count` likeliest words after each token, at each step: the last norm and the
    head, applied to hidden states. Those of the last step are normed already.
    """
    with torch.inference_mode():
        normed = torch.cat([model.model.norm(hidden[:-1]), hidden[-1:]])
        tops = [model.logits(each).softmax(dim=-1).topk(count) for each in normed]
    ids = torch.stack([top.indices for top in tops])
    shares = torch.stack([top.values for top in tops]).mul(1000).round().long()
    names = {i: visible(tokenizer.decode([i])) for i in ids.unique().tolist()}
    words = sorted(set(names.values()))
    number = ids.clone().apply_(lambda i: words.index(names[i]))
    return Lens(words, torch.stack([number, shares], dim=-1).flatten(-2).tolist())


def visible(word: str) -> str:
    """A token as it can be seen: a space is ␣, the end of a line ⏎."""
    shown = word.translate(SEEN)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
