"""Which safetensors files of a directory hold the model, as Hugging Face chooses."""

import re
from pathlib import Path
from typing import Any

from companion.checkpoints.refusals.directories import refuse_without_weights
from companion.checkpoints.refusals.files import check_link, check_whole
from companion.tokenizers.files import read_object

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ENDINGS = (".safetensors", ".safetensors.index.json")
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.safetensors")


def weight_files(path: Path, named: Any = None) -> tuple[list[Path], dict[str, str]]:
    """The files to read, and the file of each tensor where an index says it.

    `named` is config.json's transformers_weights. Without it model.safetensors is the
    model, then what the index names, then all files that are there.

    Raises: ValueError where shards and a single file each are a model, and for files
    that are not whole. FileNotFoundError for a file that is not there.
    """
    if named is not None:
        check_name(path / "config.json", named, ENDINGS)
        if named.endswith(ENDINGS[0]):
            return [path / named], {}
    index, single = path / (named or INDEX), path / SINGLE
    weight_map = read_index(index) if named or index.exists() else {}
    shards = [path / name for name in sorted(set(weight_map.values()))]
    if named is None and single.exists() and single not in shards:
        check_no_shards(single, shards)
        return [single], {}
    for shard in shards:
        check_link(shard)
        if not shard.is_file():
            raise FileNotFoundError(
                f"{shard} is named in {index.name} but is not there"
            )
    return shards or files_without_an_index(path), weight_map


def check_no_shards(single: Path, named: list[Path]) -> None:
    """Refuse shards beside a single file: one of the two is of an older save.

    An index whose shards are gone is left over when a model is saved in one file.
    """
    there = [
        path for path in single.parent.glob("model-*") if SHARD.fullmatch(path.name)
    ]
    for shard in sorted({*there, *named}):
        if shard.exists():
            raise ValueError(
                f"{single.parent} has {single.name} and {shard.name}, and each may be "
                "the model: move those of the older save elsewhere, the shards with "
                f"their {INDEX}"
            )


def read_index(path: Path) -> dict[str, str]:
    """The file of each tensor, as an index names them.

    Raises: ValueError for a name that leads out of the directory. FileNotFoundError
    for an index that is not there.
    """
    check_whole(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there, and config.json names it")
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(
            f"{path} has no weight_map from tensor names to files: download it again"
        )
    for name in weight_map.values():
        check_name(path, name, ENDINGS[:1])
    return weight_map


def check_name(path: Path, name: Any, endings: tuple[str, ...]) -> None:
    """Refuse a name of no safetensors file, and one that leads to another directory."""
    is_text = isinstance(name, str)
    if not is_text or not name.endswith(endings) or {"/", "\\"} & {*name}:
        raise ValueError(
            f"{path} names the file {name!r}: it must be a .safetensors file in "
            "the same directory"
        )


def files_without_an_index(path: Path) -> list[Path]:
    """All safetensors files of a directory that are not hidden, if they are one model."""
    # hidden are those that macOS writes beside others: ._model.safetensors
    files = sorted(path.glob("[!.]*.safetensors"))
    if not files:
        refuse_without_weights(path)
    whole = [file for file in files if file.name.startswith("consolidated")]
    if whole and len(files) > len(whole):
        other = next(file for file in files if file not in whole)
        raise ValueError(
            f"{path} has {whole[0].name} and {other.name}, without {INDEX}: they may be "
            "two copies of the model; move one elsewhere, or download the index"
        )
    for match in filter(None, (SHARD.fullmatch(file.name) for file in files)):
        for number in range(1, int(match[3]) + 1):
            shard = path / f"{match[1]}-{number:05}-of-{match[3]}.safetensors"
            if not shard.exists():
                raise FileNotFoundError(
                    f"{shard} is not there, and {match[0]} is one of {int(match[3])} shards"
                )
    return files
