"""Peak memory and seconds of `load`, each in a process of its own: `make bench`.

Prints a line for each case and writes everything to benchmarks/results/. Linux only.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from machine import machine, write
from safetensors.torch import save_file

from companion import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(
    vocab_size=32000,
    hidden_size=1024,
    intermediate_size=2816,
    num_hidden_layers=8,
    num_attention_heads=16,
    num_key_value_heads=4,
    tie_word_embeddings=True,
)
FILES = {
    "safetensors float32, one file": (torch.float32, 1),
    "safetensors float32, 4 shards": (torch.float32, 4),
    "safetensors bfloat16, one file": (torch.bfloat16, 1),
}


def write_directory(path: Path, dtype: torch.dtype, shards: int) -> None:
    """A random checkpoint that holds its tied head too, as some do."""
    path.mkdir()
    config = {"model_type": "llama", **asdict(CONFIG)}
    (path / "config.json").write_text(json.dumps(config))
    weights = LlamaForCausalLM(CONFIG).to(dtype).state_dict()
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    names = list(weights)
    for i in range(shards):
        shard = {name: weights[name] for name in names[i::shards]}
        save_file(shard, path / f"model-{i}.safetensors")


def measure(source: str, dtype: str) -> dict:
    """The figures of one load in a fresh process."""
    script = Path(__file__).with_name("peak_memory.py")
    command = [sys.executable, str(script), source, dtype]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)[0]


def main() -> None:
    result: dict = {**machine(), "cases": []}
    with tempfile.TemporaryDirectory() as folder:
        sources = {"SmolLM2-135M-Instruct.Q4_1.gguf": "bundled"}
        for number, (name, options) in enumerate(FILES.items()):
            sources[name] = str(Path(folder, str(number)))
            write_directory(Path(sources[name]), *options)
        for name, source in sources.items():
            for dtype in ("float32", "bfloat16"):
                case = {"source": name, **measure(source, dtype)}
                result["cases"].append(case)
                print(case)
    write("loading", result)


if __name__ == "__main__":
    main()
