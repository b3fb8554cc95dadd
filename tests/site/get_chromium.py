"""Get a browser for the site's tests where there is none: `make site` runs this first."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import partial

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


def from_debian(package: str) -> None:
    if shutil.which("apt-get") and os.geteuid() == 0:
        run("apt-get", "update", "-qq")
        install = "apt-get", "install", "-qq", "-y", "--no-install-recommends"
        frontend = "DEBIAN_FRONTEND=noninteractive"
        run("env", frontend, *install, package, "fonts-dejavu-core")


def run(*command: str) -> None:
    """Try that, in silence: whether it helped is seen by starting the browser."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=300)


def main() -> None:
    if not shutil.which(browse.SHELL) and not os.environ.get("CHROMIUM"):
        from_debian(browse.SHELL)
    for get in (from_playwright, partial(from_debian, "chromium")):
        if starts():
            return
        print("No browser for the site's tests: trying to get one ...", flush=True)
        get()
    if not starts():
        sys.exit(browse.MISSING)


if __name__ == "__main__":
    main()
