"""Files that are whole whenever somebody reads them."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Put a text in a file's place at once, when all of it is on the disk; the old one stays
    where that cannot be done, or is interrupted.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
