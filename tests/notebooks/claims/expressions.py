"""The expressions in book/claims.yml, and what they may use."""

import ast
import json
import math
import re
import statistics
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
import yaml
from toc import ROOT

import companion
import companion.exercises
from companion.show import example

FILE = ROOT / "book" / "claims.yml"
RESULTS = ROOT / "benchmarks" / "results"


@cache
def document() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def evaluated(given: Mapping[str, Any]) -> float:
    names = dict(namespace())
    if given["kind"] == "measured":
        names["raw"] = json.loads((RESULTS / f"{given['file']}.json").read_text())
    return float(eval(given["is"], names))


@cache
def namespace() -> dict[str, Any]:
    """What an expression may use."""
    configs = {
        name: companion.LlamaConfig.from_hf(dict(sizes))
        for name, sizes in document()["configs"].items()
    }
    tools = {"torch": torch, "math": math, "re": re, "median": statistics.median}
    ours = {"companion": companion, "example": example, "module": import_module}
    return (
        tools
        | ours
        | configs
        | {
            "text": text,
            "assigned": assigned,
            "parameters": parameters,
        }
    )


def text(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def assigned(path: str, name: str) -> Any:
    """What a file assigns to a name, if it is written out there."""
    for node in ast.parse(text(path)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise ValueError(f"{path} assigns nothing to {name}")


def parameters(config: companion.LlamaConfig) -> int:
    """The parameters of a model."""
    with torch.device("meta"):
        model = companion.LlamaForCausalLM(config)
    return sum(weight.numel() for weight in model.parameters())
