"""The palette as CSS variables, and the rules for chips, cells, figures and ledgers, which
hold in a page of the book and in a notebook.
"""

from functools import cache
from importlib.resources import files

from companion.show.look.palette import AXES, INKS, MOST, Ink

# A page of the book, JupyterLab and Notebook, VS Code: each says in its own way that it is dark.
DARK = (
    'html[data-theme="dark"]',
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
)
LINES = {
    "dotted": "dotted 1.5px",
    "double": "double 1px",
    "solid": "solid 1.5px",
    "dashed": "dashed 1.5px",
    "wavy": "wavy 1px",
    "thick": "solid 3px",
}


def stylesheet() -> str:
    """All of it. Dark holds on screens alone: print is light."""
    dark = f"{', '.join(DARK)} {{ {variables('dark')} }}"
    return f":root {{ {variables('light')} }}\n@media not print {{ {dark} }}\n{rules()}"


@cache
def rules() -> str:
    """What elements look like, by these variables."""
    written = files(__package__).joinpath("look.css").read_text(encoding="utf-8")
    return f"{axes()}\n{written}"


def variables(mode: str) -> str:
    """The declarations of one mode."""
    inks = [f"--look-{ink.name}: {of(ink, mode)};" for ink in INKS]
    return " ".join([*inks, f"--look-most: {MOST[mode]};"])


def of(ink: Ink, mode: str) -> str:
    """The color of a mode."""
    return ink.dark if mode == "dark" else ink.light


def axes() -> str:
    """What an element with `data-axis` looks like: the axis's color and its line."""
    return "\n".join(
        f'[data-axis="{each.letter}"], .axis-{each.letter} '
        f"{{ --axis: {each.ink}; --axis-line: {LINES[each.line]}; }}"
        for each in AXES.values()
    )
