"""Get a browser for the site's tests where there is none: `make site` runs this first."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import browse
import playwright.sync_api


def starts() -> bool:
    """Whether there is a Chromium, and this machine has the libraries that it needs."""
    with playwright.sync_api.sync_playwright() as driver:
        try:
            browse.launch(driver).close()
        except (RuntimeError, playwright.sync_api.Error):
            return False
    return True


def from_playwright() -> None:
    run(sys.executable, "-m", "playwright", "install", "chromium")


def from_debian() -> None:
    if shutil.which("apt-get") and os.geteuid() == 0:
        run("apt-get", "update", "-qq")
        packages = "chromium", "fonts-dejavu-core"
        install = "apt-get", "install", "-qq", "-y", "--no-install-recommends"
        run("env", "DEBIAN_FRONTEND=noninteractive", *install, *packages)


def run(*command: str) -> None:
    """Try that, in silence: whether it helped is seen by starting the browser."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=300)


def main() -> None:
    if starts():
        return
    for get in (from_playwright, from_debian):
        print(f"No browser for the site's tests: trying {get.__name__} ...", flush=True)
        get()
        if starts():
            return
    sys.exit(browse.MISSING)


if __name__ == "__main__":
    main()
