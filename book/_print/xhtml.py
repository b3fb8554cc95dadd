"""A built page's HTML as the XHTML that an EPUB asks for."""

import re

from bs4 import Tag

SVG = "http://www.w3.org/2000/svg"
MATHML = "http://www.w3.org/1998/Math/MathML"
# The names in SVG that are not all lower case, as HTML reads them.
CASED = """
viewBox preserveAspectRatio clipPath clipPathUnits linearGradient radialGradient gradientUnits
gradientTransform patternUnits patternTransform patternContentUnits markerWidth markerHeight
markerUnits refX refY maskUnits textLength lengthAdjust foreignObject pathLength stdDeviation
spreadMethod startOffset textPath
"""
CASE = {name.lower(): name for name in CASED.split()}
# What HTML once had for looks, and what is of use to a script alone.
OBSOLETE = ("align", "border", "valign", "tabindex", "contenteditable")


def to_xhtml(article: Tag) -> str:
    """The article, well-formed: formulas as MathML, drawings in their namespace, no names of our own."""
    mathml(article)
    for node in [article, *article.find_all(True)]:
        if "-" in node.name:
            node["class"] = [*node.get("class", []), node.name]
            node.name = "div"
        if node.get("role") == "doc-biblioentry":  # given up by its standard
            del node["role"]
        node.attrs = {
            key: value
            for key, value in node.attrs.items()
            if key not in OBSOLETE and not key.startswith("on")
        }
    for drawing in article.find_all("svg"):
        drawn(drawing)
    return article.decode(formatter="minimal")


def mathml(article: Tag) -> None:
    """Of each formula the MathML that KaTeX wrote beside its own boxes."""
    for formula in article.select(".katex"):
        math = formula.math.extract()
        math["xmlns"] = MATHML
        if formula.find_parent(class_="katex-display"):
            math["display"] = "block"
        formula.replace_with(math)


def drawn(drawing: Tag) -> None:
    """A drawing with its namespace and the case of its names."""
    drawing["xmlns"] = SVG
    for node in [drawing, *drawing.find_all(True)]:
        node.name = CASE.get(node.name, node.name)
        node.attrs = {
            CASE.get(key, key): value
            for key, value in node.attrs.items()
            if not key.startswith("xmlns:")
        }
        if "xlink:href" in node.attrs:
            node["href"] = node.attrs.pop("xlink:href")


def page(title: str, body: str, language: str, sheets: list[str]) -> str:
    """A whole file of the EPUB."""
    links = "".join(
        f'<link rel="stylesheet" type="text/css" href="{sheet}"/>' for sheet in sheets
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
        f'lang="{language}" xml:lang="{language}">'
        f'<head><meta charset="utf-8"/><title>{title}</title>{links}</head>'
        f"<body>{body}</body></html>\n"
    )


def light_rules(css: str) -> str:
    """Of the highlighter's styles those for a light page, for a page that has no mode."""
    return "\n".join(
        line.replace('html[data-theme="light"] ', "")
        for line in css.splitlines()
        if not re.match(r'html\[data-theme="dark"\]|@media|}', line)
    )
