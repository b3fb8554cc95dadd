"""A browser is found, or got, or asked for."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import browse
import get_chromium
import pytest


def driver(own):
    return SimpleNamespace(chromium=SimpleNamespace(executable_path=own))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A file that can be run, on a PATH with nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", "")

    def make(name):
        (tmp_path / name).write_text("#!/bin/sh")
        (tmp_path / name).chmod(0o755)
        return str(tmp_path / name)

    return make


def test_chromium_of_the_variable_then_of_the_path_then_of_playwright(
    program, monkeypatch
):
    own, named, given = map(program, ("own", "chromium", "given"))
    assert browse.find_chromium(driver(own + " missing")) == named
    monkeypatch.setenv("CHROMIUM", given)
    assert browse.find_chromium(driver(own)) == given
    monkeypatch.setattr(browse, "NAMES", ())
    monkeypatch.setenv("CHROMIUM", "")
    assert browse.find_chromium(driver(own)) == own


def test_chromium_missing(program):
    with pytest.raises(RuntimeError, match="apt-get install chromium-headless-shell"):
        browse.find_chromium(driver("missing"))


@pytest.fixture
def machine(program, monkeypatch):
    """A machine without a browser, and the commands that are tried on it until one helps."""
    program("apt-get")
    commands = []
    monkeypatch.setattr(get_chromium, "run", lambda *line: commands.append(line))
    monkeypatch.setattr(get_chromium.os, "geteuid", lambda: 0)

    def helped_by(word):
        def starts():
            return any(word in line for line in commands)

        monkeypatch.setattr(get_chromium, "starts", starts)
        return commands

    return helped_by


def packages(commands):
    """What Debian was asked for."""
    return [line[-2] for line in commands if "install" in line and "env" in line]


def test_debians_browser_without_a_window_is_tried_first(machine):
    commands = machine(browse.SHELL)
    get_chromium.main()
    assert [line[0] for line in commands] == ["apt-get", "env"]
    assert commands[-1][-2:] == (browse.SHELL, "fonts-dejavu-core")


def test_then_playwright(machine):
    commands = machine("playwright")
    get_chromium.main()
    assert packages(commands) == [browse.SHELL]
    assert commands[-1][1:] == ("-m", "playwright", "install", "chromium")


def test_then_debians_whole_browser(machine, monkeypatch):
    commands = machine("nothing")
    monkeypatch.setattr(
        get_chromium, "starts", lambda: "chromium" in packages(commands)
    )
    get_chromium.main()
    assert packages(commands) == [browse.SHELL, "chromium"]


def test_else_it_is_said_what_to_do(machine, monkeypatch):
    commands = machine("nothing")
    monkeypatch.setattr(get_chromium.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="apt-get install chromium-headless-shell"):
        get_chromium.main()
    assert len(commands) == 1


@pytest.mark.parametrize("there", [browse.SHELL, "own"])
def test_a_browser_that_starts_is_enough(machine, program, monkeypatch, there):
    commands = machine("")
    commands.append(("",))
    path = program(there)
    monkeypatch.setenv("CHROMIUM", path if there == "own" else "")
    get_chromium.main()
    assert commands == [("",)]


def test_what_does_not_start_is_no_browser(program):
    """In a process of its own, since playwright runs once in each."""
    program("chromium")
    code = "import get_chromium; print(get_chromium.starts())"
    folder = Path(get_chromium.__file__).parent
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.stdout == "False\n", ran.stderr
