"""Compiled programs on disk, in a folder that this user alone may write to.

What lies there is code that will run. So a package is taken only if this user wrote it
and nobody else could, and if it is whole.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path

VARIABLE = "COMPANION_CACHE"
KEPT = "compiled"


def folder() -> Path:
    """Where packages are kept: $COMPANION_CACHE, or the user's cache folder.

    Raises: FileNotFoundError for a user without a home, as a container's may be.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen, KEPT)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise FileNotFoundError("this user has no home folder") from error
    return Path(base, "shape-of-attention", KEPT)


def key(*parts: object) -> str:
    """A name for what depends on all of these: equal if they print the same."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:32]


def find(name: str) -> Path | None:
    """The package of that name, if it can be trusted and is whole."""
    with contextlib.suppress(FileNotFoundError):  # no folder, nothing in it
        path = folder() / f"{name}.pt2"
        if is_own(path.parent) and is_own(path) and is_whole(path):
            return path
    return None


def keep(name: str, package: Path) -> str | None:
    """Copy a package into the store; what was in the way of it, in words, if anything.

    It appears there at once or not at all, so that two processes may do the same.
    """
    try:
        target = folder() / f"{name}.pt2"
    except FileNotFoundError as error:
        return str(error)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_own(target.parent):
            return f"{target.parent} is not this user's alone"
        put(package, target)
    except OSError as error:
        return f"{target.parent}: {error.strerror or error}"
    return None


def put(package: Path, target: Path) -> None:
    """Copy a file to where it is whole or not at all, whatever ends the copying."""
    handle, written = tempfile.mkstemp(dir=target.parent, suffix=".part")
    part = Path(written)
    try:
        with os.fdopen(handle, "wb") as out, package.open("rb") as source:
            shutil.copyfileobj(source, out)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def is_own(path: Path) -> bool:
    """Whether a file or folder belongs to this user and no other may write to it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):  # Windows: what lies in a home is its user's
        return not path.is_symlink()
    others = stat.S_IWGRP | stat.S_IWOTH
    plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return plain and found.st_uid == os.getuid() and not found.st_mode & others


def is_whole(path: Path) -> bool:
    """Whether every file in a package has the checksum that it was written with."""
    damage = zipfile.BadZipFile, zlib.error, EOFError, ValueError
    try:
        with zipfile.ZipFile(path) as package:
            return package.testzip() is None
    except (OSError, RuntimeError, *damage):  # RuntimeError: what it cannot read at all
        return False
