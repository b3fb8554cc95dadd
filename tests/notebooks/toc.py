"""The table of contents: which pages there are. Run as a script, it lists the notebooks, one path a line."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[str]:
    """Every page, in the book's order, as its path from the repository without suffix."""
    toc = contents()
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    below = [[chapter, *chapter.get("sections", [])] for chapter in chapters]
    return [toc["root"], *(page["file"] for pages in below for page in pages)]


def numbered() -> list[str]:
    """The chapters: the pages of the numbered parts."""
    parts = [part for part in contents()["parts"] if part.get("numbered")]
    return [chapter["file"] for part in parts for chapter in part["chapters"]]


def contents() -> dict:
    return yaml.safe_load((ROOT / "_toc.yml").read_text())


def notebooks() -> list[str]:
    """The pages that are notebooks, as paths from the repository."""
    return [f"{page}.ipynb" for page in pages() if (ROOT / f"{page}.ipynb").exists()]


if __name__ == "__main__":
    print(*notebooks(), sep="\n")
