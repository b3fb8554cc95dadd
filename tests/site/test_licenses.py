"""The page "Licenses" names every file that the site ships and is not a page."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "book" / "licenses.md"
# What Sphinx writes of this book: its pages, their sources and the indices of both;
# and what `make pdf` and `make epub` make of them.
WRITTEN = (
    "*.html",
    "_sources/*",
    "searchindex.js",
    "objects.inv",
    ".buildinfo",
    "the-shape-of-attention.*",
)


def named_files() -> list[str]:
    """What each line of the list begins with, each a pattern below `_static/`."""
    lines = re.findall("^- (`.*?`): ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for line in lines for name in re.findall("`(.+?)`", line)]


def files_in(folder: Path) -> list[str]:
    return [
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file()
    ]


def unnamed(files: list[str]) -> list[str]:
    return [
        file
        for file in files
        if not any(fnmatchcase(file, pattern) for pattern in named_files())
    ]


def bundled_packages(source_map: Path) -> set[str]:
    """The npm packages that a script or style was made of, by the map beside it."""
    sources = json.loads(source_map.read_text(encoding="utf-8"))["sources"]
    paths = [source.rpartition("node_modules/")[2] for source in sources]
    return {
        re.match("(@[^/]+/)?[^/]+", path).group()
        for path, source in zip(paths, sources, strict=True)
        if path != source
    }


def test_every_file_has_a_license(site):
    assert not unnamed(files_in(site / "_static"))


def test_every_line_is_of_a_file_that_is_there(site):
    files = files_in(site / "_static")
    assert not [
        pattern
        for pattern in named_files()
        if not any(fnmatchcase(file, pattern) for file in files)
    ]


def test_what_a_script_was_made_of_has_a_license(site):
    maps = sorted(site.rglob("*.map"))
    packages = set().union(*map(bundled_packages, maps))
    assert {"bootstrap", "@popperjs/core"} <= packages
    text = PAGE.read_text(encoding="utf-8")
    assert not [package for package in packages if f"`{package}`" not in text]


def test_nothing_else_is_beside_the_pages(site):
    assert not [
        file
        for file in files_in(site)
        if not file.startswith("_static/")
        and not any(fnmatchcase(file, pattern) for pattern in WRITTEN)
    ]


@pytest.mark.parametrize(
    "file", ["thebe.js", "vendor/mathjax/tex.js", "fonts/inter.woff2", "icons.css"]
)
def test_another_file_is_found(file):
    assert unnamed([file]) == [file]
