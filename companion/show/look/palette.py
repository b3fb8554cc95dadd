"""The colors, each for light and for dark pages, as variables that CSS and SVG share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ink:
    """A color on light and on dark ground, under the name of its CSS variable."""

    name: str
    light: str
    dark: str

    def __str__(self) -> str:
        """What a fill or a stroke says: the variable, or the light color without it."""
        return f"var(--look-{self.name}, {self.light})"


@dataclass(frozen=True)
class Axis:
    """An axis: its letter, its color, and the line below it, which says the same to who
    does not see the color.
    """

    name: str
    letter: str
    ink: Ink
    line: str


def axis(name: str, letter: str, light: str, dark: str, line: str) -> Axis:
    """An axis whose variable is named by its letter."""
    return Axis(name, letter, Ink(letter, light, dark), line)


AXES = {
    each.name: each
    for each in (
        axis("batch", "b", "#6c7076", "#c9cbcd", "dotted"),
        axis("heads", "h", "#590aad", "#9f7dfe", "double"),
        axis("q_len", "q", "#1768e4", "#68bcfc", "solid"),
        axis("kv_len", "k", "#bf4003", "#de956d", "dashed"),
        axis("head_dim", "d", "#0c3b05", "#81ec6c", "wavy"),
        axis("hidden", "m", "#811459", "#cd6ea3", "thick"),
    )
}
# The same axis under the names that it has elsewhere.
ALSO = {
    "length": AXES["q_len"],
    "q_heads": AXES["heads"],
    "kv_heads": AXES["heads"],
    "num_heads": AXES["heads"],
    "hidden_size": AXES["hidden"],
}

# What pages are drawn on: the page itself, and what is set off from it.
GROUNDS = {"light": ("#ffffff", "#f5f7f9"), "dark": ("#121212", "#20262e")}

TEXT = Ink("text", "#1f2429", "#e6ebf0")
MUTED = Ink("muted", "#59626c", "#a9b4c0")
RULE = Ink("rule", "#d5dbe1", "#3b4654")
EDGE = Ink("edge", "#7a848d", "#808c98")  # of what has to be seen: 3:1 at least
FOCUS = Ink("focus", "#1f5f99", "#82bdf2")
POSITIVE = Ink("positive", "#2166ac", "#5aa9f0")
NEGATIVE = Ink("negative", "#b35806", "#f0954a")
WEIGHTS = Ink("weights", "#ece7dc", "#2e2a22")
ACTIVATIONS = Ink("activations", "#ffffff", "#1a2028")
CACHED = Ink("cached", "#e3edf7", "#1c2f42")
SURFACE = Ink("surface", "#f5f7f9", "#20262e")

INKS = (
    *(each.ink for each in AXES.values()),
    *(TEXT, MUTED, RULE, EDGE, FOCUS, POSITIVE, NEGATIVE),
    *(WEIGHTS, ACTIVATIONS, CACHED, SURFACE),
)

MOST = {"light": 0.5, "dark": 0.38}  # how opaque the largest value of a figure is


def named(name: str) -> Axis | None:
    """The axis of a name, or of the name that it has elsewhere; None for another word."""
    return AXES.get(name) or ALSO.get(name)
