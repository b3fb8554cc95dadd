"""The package's look on the pages: its stylesheet, the scripts of the figures on a page, numbers for figures,
and axes in prose and formulas as chips.
"""

import re
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from companion.show.look.code import PARTS, script
from companion.show.look.legend import axes_figure
from companion.show.look.palette import named
from companion.show.look.stylesheet import stylesheet

SCRIPTS = "figures"  # where they are, below _static
FIGURE = re.compile(r'<figure class="companion-figure"(.*?)<figcaption>', re.DOTALL)
ELEMENT = re.compile(r"<([a-z]+-[a-z-]+)><script type=\"application/json\">")
SHAPE = re.compile(r'data-sizes="(\([\d, ]+\))" data-axes="([\w ]+)"')
LETTER = '<span class="letter" aria-hidden="true">{}</span>'
WORD = re.compile(r"\\text\{([a-z\\_]+)\}")


class Legend(Directive):
    """The legend of the look: `{look-legend}`."""

    def run(self) -> list[nodes.Node]:
        """The figure, drawn by the package."""
        return [nodes.raw("", axes_figure()._repr_html_(), format="html")]


def write_look(app: Sphinx) -> None:
    """The stylesheet and the scripts, where the builder puts what is static."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    folder = static / SCRIPTS
    folder.mkdir(parents=True, exist_ok=True)
    (static / "look.css").write_text(stylesheet(), encoding="utf-8")
    for name in names():
        (folder / f"{name}.js").write_text(script(name), encoding="utf-8")


def names() -> list[str]:
    """Every script of the package's interactive figures, those that are sent as one under their first."""
    found = files("companion.show.interactive").iterdir()
    scripts = {each.name[:-3] for each in found if each.name.endswith(".js")}
    return sorted(scripts - {part for _, *others in PARTS.values() for part in others})


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Load on a page what its figures need, and nothing on a page without one."""
    wanted = sorted(set(ELEMENT.findall(context.get("body", ""))))
    for name in ["figure", *wanted] if wanted else []:
        app.add_js_file(
            f"{SCRIPTS}/{name}.js",
            loading_method="defer",
            priority=900,
            blocking="render",
        )


class NumberFigures(SphinxPostTransform):
    """Figure 2.3 is the third of chapter 2; on a page without a number, Figure 3."""

    default_priority = 7
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Number them in the order of the page."""
        chapter = self.env.toc_secnumbers.get(self.env.docname, {}).get("", ())
        count = 0
        for raw in self.document.findall(nodes.raw):
            if "<figure" not in raw.astext():
                continue
            count += 1
            number = ".".join(map(str, (*chapter, count)))
            raw[:] = [nodes.Text(numbered(raw.astext(), number))]


def numbered(drawn: str, number: str) -> str:
    """A figure that others can point to, its number in front of its caption; who hears it, hears number and
    caption first, and then what is in it.
    """
    anchor = f"figure-{number.replace('.', '-')}"
    label = f'<span class="number">Figure {number}</span> '
    named = (
        f'role="group" aria-label="Figure {number}" aria-describedby="{anchor}-caption"'
    )
    drawn = re.sub('role="group" aria-label="[^"]*"', named, drawn, count=1)
    drawn = drawn.replace(
        "The same as a table", f"Figure {number} as a table, as it starts"
    )
    return FIGURE.sub(
        rf'<figure class="companion-figure" id="{anchor}"\1<figcaption id="{anchor}-caption">{label}',
        drawn,
        count=1,
    )


class Chips(SphinxPostTransform):
    """Axes in prose as chips: their names, and the shapes that a figure or a ledger of the page gives with
    its axes; in formulas their names in their colors.
    """

    default_priority = 8
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Mark the names, then the shapes, then the formulas."""
        shapes = shapes_in(self.document)
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            if axis := named(text):
                literal["classes"] += ["axis", f"axis-{axis.letter}"]
            elif axes := shapes.get(text):
                literal[:] = chips_of(text, axes)
        formulas = self.document.findall(
            lambda node: isinstance(node, (nodes.math, nodes.math_block))
        )
        for formula in formulas:
            formula[:] = [nodes.Text(WORD.sub(colored, formula.astext()))]


def shapes_in(document: nodes.document) -> dict[str, list[str]]:
    """The axes of each shape that the page's outputs give with them, where all give the same.

    A matrix, or a shape in which a size comes twice, can mean another tensor in prose.
    """
    given: dict[str, set[str]] = {}
    for raw in document.findall(nodes.raw):
        for sizes, axes in SHAPE.findall(raw.astext()):
            given.setdefault(sizes, set()).add(axes)
    return {
        sizes: axes.pop().split()
        for sizes, axes in given.items()
        if len(axes) == 1 and says_one_thing(sizes)
    }


def says_one_thing(shape: str) -> bool:
    """A shape of three axes at least, its sizes above 1 all different."""
    sizes = re.findall(r"\d+", shape)
    large = [size for size in sizes if size != "1"]
    return len(sizes) > 2 and len(set(large)) == len(large)


def chips_of(shape: str, axes: list[str]) -> list[nodes.Node]:
    """A shape in prose, each of its sizes a chip of its axis."""
    made: list[nodes.Node] = []
    left = iter(axes)
    for part in re.split(r"(\d+)", shape):
        axis = named(next(left)) if part.isdigit() else None
        if axis is None:
            made.append(nodes.Text(part))
            continue
        letter = nodes.raw("", LETTER.format(axis.letter), format="html")
        size = nodes.inline("", part, classes=["size"])
        made.append(
            nodes.inline("", "", size, letter, classes=["axis", f"axis-{axis.letter}"])
        )
    return made


def colored(found: re.Match) -> str:
    """An axis's name in a formula, in the color of the axis."""
    axis = named(found[1].replace("\\", ""))
    return rf"\htmlClass{{axis-{axis.letter}}}{{{found[0]}}}" if axis else found[0]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transforms, and what comes with each page."""
    app.connect("builder-inited", write_look)
    app.connect("html-page-context", add_scripts)
    app.add_directive("look-legend", Legend)
    app.add_css_file("look.css", priority=400)
    app.add_post_transform(NumberFigures)
    app.add_post_transform(Chips)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
