"""Which edition a page belongs to: the package's version and the commit it was built from.

An archive without git has no commit, and its pages name the version alone.
"""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def version(root: Path) -> str:
    """The version that pyproject.toml says."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


def git(root: Path, *words: str) -> str | None:
    """What git answers about this folder; nothing where there is no git, or no repository."""
    try:
        run = subprocess.run(
            ["git", "-C", root, *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def commit(root: Path) -> str | None:
    """The commit of the repository that has this folder as its root, not of one around it."""
    top = git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return None
    return git(root, "rev-parse", "HEAD")


def read(app: Sphinx) -> None:
    """Look both up once."""
    root = Path(app.confdir)
    app.edition = {"version": version(root), "commit": commit(root)}


def hand_over(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: object
) -> None:
    """Give the footer's template what it says."""
    context["edition"] = app.edition


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the footer's data."""
    app.connect("builder-inited", read)
    app.connect("html-page-context", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
