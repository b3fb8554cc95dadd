"""Tiny GGUFs whose logits llama.cpp computed once: `llama_cpp_logits.json`.

To record again, with the Python of a virtual environment that has llama-cpp-python:

    .venv/bin/python tests/parity/llama_cpp_golden.py OTHER_VENV/bin/python
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path += [
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[2] / "benchmarks"),
]
import tiny
import tiny_files
import whole

from companion import LlamaForCausalLM

STORED = Path(__file__).with_name("llama_cpp_logits.json")
IDS = [(7 * i * i + 3 * i + 1) % len(tiny_files.TOKENS) for i in range(96)]
SIZES = {"hidden_size": 64, "head_dim": 24, "intermediate_size": 96}

SCALING = "llama.rope.scaling."
YARN = {
    SCALING + "type": "yarn",
    SCALING + "factor": 4.0,
    SCALING + "original_context_length": 32,
}
LINEAR = {SCALING + "type": "linear", SCALING + "factor": 4.0}
FACTORS = np.array([1, 1, 1, 1, 1.5, 2, 3, 5, 8, 8, 8, 8], np.float32)
# name of a case: changes of the config, of the metadata, tensors besides the weights
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}, {}),
    "tied": ({"tie_word_embeddings": True}, {}, {}),
    "biases": ({"attention_bias": True, "mlp_bias": True}, {}, {}),
    "no scaling, whatever the factor": ({}, {**LINEAR, SCALING + "type": "none"}, {}),
    "linear": ({}, LINEAR, {}),
    "linear without a type": ({}, {SCALING + "factor": 4.0}, {}),
    "linear by its old name": ({}, {"llama.rope.scale_linear": 4.0}, {}),
    "YaRN": ({}, YARN, {}),
    "YaRN, original length left out": (
        {},
        {name: YARN[name] for name in list(YARN)[:2]},
        {},
    ),
    "YaRN, attn_factor": ({}, {**YARN, SCALING + "attn_factor": 0.8}, {}),
    "frequency factors": ({}, {}, {"rope_freqs.weight": FACTORS}),
}

RECORD = """
import json, sys, llama_cpp
model = llama_cpp.Llama(
    sys.argv[1], n_ctx=128, n_batch=128, n_ubatch=128, logits_all=True, verbose=False,
    flash_attn=False, type_k=0, type_v=0, n_threads=1,  # keys and values in float32
)
model.eval(json.loads(sys.argv[2]))
logits = model.scores[:model.n_tokens][7::8, :8]
print(json.dumps([llama_cpp.__version__, [[round(float(x), 5) for x in row] for row in logits]]))
"""


def write(name: str, path: Path) -> Path:
    """The GGUF of a case, with weights from numpy's frozen generator."""
    changes, metadata, tensors = CASES[name]
    config = tiny.config(rope_theta=500.0, **SIZES, **changes)
    model = LlamaForCausalLM(config)
    random = np.random.RandomState(0)
    weights = {
        key: torch.from_numpy(0.3 * random.standard_normal(tuple(x.shape))).float()
        for key, x in model.state_dict().items()
    }
    return tiny_files.write_gguf(
        path, config, weights, metadata=metadata, tensors=tensors
    )


def main(python: str) -> None:
    """Record every case with the llama-cpp-python of another Python."""
    logits, version = {}, None
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            path = write(name, Path(folder, "tiny.gguf"))
            command = [python, "-c", RECORD, str(path), json.dumps(IDS)]
            out = subprocess.run(command, check=True, capture_output=True, text=True)
            version, logits[name] = json.loads(out.stdout.splitlines()[-1])
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in logits.items())
    whole.write(
        STORED,
        f'{{"recorded_with": "llama-cpp-python {version}",\n'
        '"logits": "of tokens 0 to 7, after every eighth token of IDS",\n'
        f'"cases": {{\n{rows}\n}}}}\n',
    )


if __name__ == "__main__":
    main(sys.argv[1])
