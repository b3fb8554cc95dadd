"""The failure gallery as a page: an entry for each fault, and where to look for a symptom."""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.exercises import CHAPTERS, FAULTS, Fault
from companion.exercises.gallery import of_chapter
from companion.exercises.planting import Planted
from companion.exercises.writing import cached
from companion.show.faults import difference
from companion.show.look.code import look_once
from companion.show.planted import kept
from companion.show.tables import Code, Links, Table, table
from companion.show.written_texts import on_a_line

Entry = list[tuple[str, str | Code]]


@dataclass(frozen=True)
class Cards:
    """Faults, each with what there is to know of it, as cards that a link can lead to."""

    names: Sequence[str]

    def __repr__(self) -> str:
        return "\n\n".join(
            "\n".join(
                [f"{FAULTS[name].title} ({name})"]
                + [f"  {label}: {said}" for label, said in entry(name)]
            )
            for name in self.names
        )

    def _repr_html_(self) -> str:
        cards = "".join(map(card, self.names))
        return f'{look_once()}<div class="companion-faults">{cards}</div>'


def fault_cards(chapter: str) -> Cards:
    """All faults of a chapter, named as its notebook is.

    Raises: ValueError for a chapter that has none.
    """
    names = of_chapter(chapter)
    if not names:
        known = ", ".join(CHAPTERS)
        raise ValueError(f"no fault of {chapter!r} in the gallery: there are {known}")
    return Cards(names)


def card(name: str) -> str:
    """One fault as HTML."""
    rows = "".join(
        f"<dt>{html.escape(label)}</dt><dd>{shown(said)}</dd>"
        for label, said in entry(name)
    )
    title = html.escape(FAULTS[name].title)
    return (
        f'<div class="fault" id="{name}"><p class="title">{title} <code>{name}</code></p>'
        f"<dl>{rows}</dl></div>"
    )


def shown(said: str | Code) -> str:
    """Words, or a line of code."""
    text = html.escape(str(said))
    return f"<code>{text}</code>" if isinstance(said, Code) else text


def entry(name: str) -> Entry:
    """What there is to know of a fault, each with its label."""
    fault = FAULTS[name]
    wrong, right = fault.run()
    same = "as it should be" if wrong.shape == right.shape else "not as it should be"
    return [
        ("wrong line", Code(fault.wrong_line)),
        ("right line", Code(fault.right_line)),
        (
            "output",
            f"shape {tuple(wrong.shape)}, {same}; off by {difference(wrong, right)}",
        ),
        ("one sees", fault.symptom),
        ("SmolLM2 writes", in_a_model(name, fault)),
        ("the grader", f"{fault.grader}: {fault.grade().message}"),
    ]


def in_a_model(name: str, fault: Fault) -> str:
    """The text with the fault planted, or why there is none."""
    if isinstance(fault.planted, str):
        return f"not planted: {fault.planted}"
    return f"…{on_a_line(kept()[name].words)}"


def symptoms() -> Table:
    """What one sees, and the faults that it may be, each a link to its card."""
    names = [name for chapter in CHAPTERS for name in of_chapter(chapter)]
    rows = [(seen, Links([*filter(told, names)])) for seen, told in SYMPTOMS.items()]
    return table(("what one sees", "what it may be"), rows)


def text_is(kind: str, *, begins_rightly: bool | None = None) -> Callable[[str], bool]:
    """Whether a planted fault writes text of a kind, and begins as the right text does."""

    def told(name: str) -> bool:
        text = kept().get(name)
        if text is None or text.kind != kind:
            return False
        return begins_rightly is None or begins_rightly == (text.right_tokens > 0)

    return told


def says(words: str) -> Callable[[str], bool]:
    """Whether a fault's symptom has these words."""
    return lambda name: bool(re.search(words, FAULTS[name].symptom))


def written_by(write: Callable[..., Tensor]) -> Callable[[str], bool]:
    """Whether a planted fault is seen in this way of writing, and not before."""

    def told(name: str) -> bool:
        planted = FAULTS[name].planted
        if not isinstance(planted, Planted) or planted.write is not write:
            return False
        return kept()[name].right_tokens > 0

    return told


def needs_a_narrow_dtype(name: str) -> bool:
    """Whether a fault is shown on numbers of less than float32."""
    tensors = [x for x in FAULTS[name].arguments() if isinstance(x, Tensor)]
    return any(x.is_floating_point() and x.dtype != torch.float32 for x in tensors)


def right_on_one_rank(name: str) -> bool:
    """Whether a fault of several ranks is none on one."""
    if FAULTS[name].chapter != "parallel":
        return False
    fault = FAULTS[name]
    alone = *fault.arguments()[:-1], 1
    wrong, right = fault.wrong(*alone), fault.right(*alone)
    return torch.allclose(wrong, right, atol=1e-5)


SYMPTOMS: dict[str, Callable[[str], bool]] = {
    "NaN": text_is("NaN"),
    "one token for ever, soon or at once": text_is(
        "one token for ever", begins_rightly=False
    ),
    "one token for ever, after a right beginning": text_is(
        "one token for ever", begins_rightly=True
    ),
    "noise": text_is("noise"),
    "fluent, but wrong from the first token": text_is(
        "fluent, but another text", begins_rightly=False
    ),
    "fluent, right at first, then another text": text_is(
        "fluent, but another text", begins_rightly=True
    ),
    "the right text": text_is("the right text"),
    "right for the prompt, wrong after it": written_by(cached),
    "right for one prompt, wrong in a batch": says("wrong in a batch"),
    "right on one rank, wrong on several": right_on_one_rank,
    "right in float32, wrong in fewer bits": needs_a_narrow_dtype,
    "rows of weights that do not sum to 1": says("to less than 1|to anything"),
    "an error, except where two sizes agree": says("[Ee]rror (about|where|for every)"),
}
