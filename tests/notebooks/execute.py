"""Run notebooks in place and store what they print: `make notebooks`."""

import argparse
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# The same for everyone who runs it: no name of a local environment, no version that changes with the machine.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}

# What the first figure brings along for notebooks that are open in Jupyter; pages have it as files.
# sanitize.cfg tells nbval the same.
LOOK = re.compile(r"<(style|script) data-look>.*?</\1>", re.DOTALL)


def execute(path: Path) -> str | None:
    """Run one notebook; return what went wrong, if anything did, and then leave the file as it was."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return f"{path}: {error}"
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if drawn := output.get("data", {}).get("text/html"):
                output.data["text/html"] = LOOK.sub("", drawn)
    store(notebook, path)
    print(f"{path}: stored", flush=True)
    return None


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook, whole or not at all, whatever ends the writing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        nbformat.write(notebook, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("notebooks", nargs="+", type=Path)
    arguments = parser.parse_args()
    # Each notebook runs in a kernel process of its own; the threads only wait for them.
    with ThreadPoolExecutor(arguments.jobs) as pool:
        errors = [error for error in pool.map(execute, arguments.notebooks) if error]
    if errors:
        sys.exit("\n".join(errors))


if __name__ == "__main__":
    main()
