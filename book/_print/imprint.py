"""What the title page and the files' metadata say about this edition of the book."""

import subprocess
from dataclasses import dataclass
from html import escape
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE_NAME = "the-shape-of-attention"
QUESTION = "What exactly happens inside a Llama forward pass? A book that answers by running one."
SUBJECT = "Transformers at inference: shapes, numbers, operators and cost"
LICENSE = "https://creativecommons.org/licenses/by/4.0/"


@dataclass(frozen=True)
class Edition:
    """Title, authors, version, day and commit; where the site is."""

    title: str
    author: str
    year: str
    version: str
    day: str
    commit: str
    address: str
    language: str


def read() -> Edition:
    """Say it by the book's configuration, its CITATION.cff and the commit that is checked out."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return Edition(
        title=config["title"],
        author=config["author"],
        year=str(config["copyright"]),
        version=str(citation["version"]),
        day=git("log", "-1", "--format=%cs") or str(citation["date-released"]),
        commit=git("rev-parse", "--short", "HEAD"),
        address=config["html"]["baseurl"],
        language=config["sphinx"]["config"]["language"],
    )


def facts(about: Edition) -> list[str]:
    """What a title page says below the title, each a line of HTML."""
    commit = f", commit {about.commit}" if about.commit else ""
    author = escape(about.author)
    return [
        author,
        f"Version {about.version}, {about.day}{commit}",
        f'Read it online, run it, change it: <a href="{about.address}">{about.address}</a>',
        f'Text and figures: <a href="{LICENSE}">CC BY 4.0</a>. Code: MIT. © {about.year} {author}',
    ]


def git(*words: str) -> str:
    """What git says, or nothing where there is no git or no repository."""
    try:
        said = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""
