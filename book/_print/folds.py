"""What a page folds away, on paper: set-up, solutions and code of figures go, a check is a line."""

from bs4 import BeautifulSoup, Tag

LEFT_OUT = (
    "details.cell-fold:not(.check), details.hide.above-input, details.hide.below-input, "
    ".listing .docstring, .listing-head label"
)


def settle(article: Tag, keep_tables: bool = False) -> None:
    """Leave nothing folded. A figure's table can stay so, for who does not see the figure."""
    for node in article.select(LEFT_OUT):
        node.decompose()
    for check in article.select("details.cell-fold.check"):
        check.replace_with(line("check-line", check.summary))
    for table in article.select("figure details"):
        if not keep_tables:
            table.decompose()
    for fold in article.select("details"):
        if fold.find_parent("figure") is None:
            fold.summary.replace_with(line("fold-title", fold.summary))
            fold.name = "div"
            fold.attrs.pop("open", None)
    for cell in article.select("div.cell"):
        if not cell.get_text(strip=True) and not cell.select("svg, img"):
            cell.decompose()


def line(kind: str, summary: Tag) -> Tag:
    """The words of a summary as a paragraph."""
    made = BeautifulSoup("", "html.parser").new_tag("p", attrs={"class": kind})
    made.extend(list(summary.contents))
    return made
