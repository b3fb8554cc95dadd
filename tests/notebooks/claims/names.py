"""Names in inline code that nothing has.

A name has to be one of the vocabulary, or of a cell or an output of the chapter. In an expression each
name is looked up; a chain from a module (torch.nn.Linear) is followed, in others each attribute
is looked up. Names of one or two letters are those of formulas.
"""

import inspect
import re

import companion
from claims.pages import Page
from claims.sentences import sentences
from claims.vocabulary import (
    ROOTS,
    is_file,
    names,
    options,
    packages,
    resolves,
    targets,
    words,
)

CHAIN = re.compile(r"(?:(?<![\w.@-])|(?<=\.))[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+")
SUFFIXES = "py|md|yml|json|toml|ipynb|txt|js|css|cff|html|svg"
FILE = re.compile(rf"[\w.*/{{}}-]*\w\.(?:{SUFFIXES})|\.?[\w-]+(?:/[\w.*-]+)*/")
TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
ANY = re.compile(r"[A-Za-z]{0,2}\d?(?:_\w)?|W_\w+|[A-Z]{2,}")
SITE = {"licenses"}  # its names are files of the built site

# What neither this repository nor the libraries above define, each with what it is.
FOREIGN = {
    "torchrun": "torch's command",
    "--nproc-per-node": "its option",
    "vllm": "a program",
    "serve": "its command",
    "--tensor-parallel-size": "its option",
    "theirs.py": "a file that the reader is told to write",
    "lse": "a name in FlashAttention",
    "ffn_dim_multiplier": "a key of Meta's params.json",
    "multiple_of": "a key of Meta's params.json",
}


def unknown(page: Page) -> list[tuple[int, str, str]]:
    """(cell, what stands in backticks, the name that nothing has), for each such name."""
    if page.name in SITE:
        return []
    here = words([*page.code, *(shown.text for shown in page.printed)])
    return [
        (sentence.cell, code, name)
        for sentence in sentences(page)
        for code in sentence.code
        for name in missing(code, here)
    ]


def missing(code: str, here: set[str]) -> list[str]:
    if target := re.match(r"make ([a-z][\w-]*)$", code):
        return [] if target[1] in targets() else [code]
    if code in packages():
        return []
    lost = [x for x in OPTION.findall(code) if x not in options() and x not in FOREIGN]
    rest = TEXT.sub(" ", OPTION.sub(" ", code)).replace("ᵀ", "")
    for file in FILE.findall(rest):
        rest = rest.replace(file, " ")  # all of it, and what is left are names
        lost += [] if is_file(file) or file in FOREIGN else [file]
    return lost + [name for name in CHAIN.findall(rest) if not is_known(name, here)]


def is_known(name: str, here: set[str]) -> bool:
    first, *others = name.split(".")
    if first in ROOTS and others:
        if resolves(ROOTS[first], others):
            return True
        if first not in here:
            return False
    if others and isinstance(owner := getattr(companion, first, None), type):
        return has(owner, others[0])
    return all(
        ANY.fullmatch(part) or part in here or part in names() or part in FOREIGN
        for part in (first, *others)
    )


def has(owner: type, attribute: str) -> bool:
    """Whether a class has it, or sets it on its instances."""
    said = inspect.getsource(owner)
    set_there = re.search(rf"self\.{attribute}\b|^    {attribute}:", said, re.MULTILINE)
    return hasattr(owner, attribute) or set_there is not None
