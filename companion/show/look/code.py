"""What a notebook needs of the look and of the figures that respond: a page of the book
loads it as files, a notebook gets it with the first output that needs it.
"""

import json
import sys
from functools import cache
from importlib.resources import files

from companion.show.look.palette import ALSO, AXES
from companion.show.look.stylesheet import rules, stylesheet

SENT: set[str] = set()  # in this kernel
PARTS = {
    "figure": ("figure", "matrix", "controls", "plane")
}  # scripts that are sent as one


def look_once() -> str:
    """The look's rules, with the first output of a kernel."""
    return once("look", f"<style data-look>{stylesheet()}</style>")


def script_once(name: str) -> str:
    """The scripts of an interactive figure, each with the first output that needs it."""
    return "".join(
        once(each, f"<script data-look>{script(each)}</script>")
        for each in ("figure", name)
    )


def once(name: str, content: str) -> str:
    """The content, the first time; in Colab, whose outputs do not see each other, always."""
    if name in SENT and "google.colab" not in sys.modules:
        return ""
    SENT.add(name)
    return content


@cache
def script(name: str) -> str:
    """A script of `companion.show.interactive`, which does nothing when it comes again.

    The first of them, `figure`, which all others build on, is handed the look's rules and
    the axes' letters.
    """
    folder = files("companion.show.interactive")
    sources = [folder.joinpath(f"{each}.js") for each in PARTS.get(name, (name,))]
    letters = {name: axis.letter for name, axis in {**AXES, **ALSO}.items()}
    given = {'const LOOK = ""': rules(), "const LETTERS = {}": letters}
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    for place, value in given.items():
        text = text.replace(place, f"{place[:-2]}{json.dumps(value)}")
    return text
