"""A page with one figure in it, made from the package, without the book."""

from companion.show.interactive.element import Interactive
from companion.show.look.code import script
from companion.show.look.stylesheet import stylesheet

GROUND = {"light": "#ffffff", "dark": "#121212"}


def document(figure: Interactive, scheme: str = "light", scripts: bool = True) -> str:
    """A page with the figure in it, as a page of the book holds it."""
    code = "".join(
        f"<script>{script(name)}</script>" for name in ("figure", figure.tag)
    )
    return (
        f'<!doctype html><html lang="en" data-theme="{scheme}"><head><title>A figure</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{stylesheet()} body {{ margin: 16px; background: {GROUND[scheme]}; "
        f"color: var(--look-text); font-family: sans-serif }}</style></head><body><main><h1>A figure</h1>"
        f"{figure.element()}</main>{code if scripts else ''}</body></html>"
    )
