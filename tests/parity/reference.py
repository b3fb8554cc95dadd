"""The bundled SmolLM2 as Hugging Face reads it, which takes them 15 seconds: done once."""

import json
from hashlib import file_digest, sha256
from importlib.metadata import version

import torch
import whole
from filelock import FileLock
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from companion.checkpoints import bundled_path

READERS = ("transformers", "gguf", "torch", "numpy")


def digests(model):
    """The bits of each weight; a tied head is none of its own."""
    return {
        name: sha256(weight.numpy()).hexdigest()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"
    }


def read(path):
    """What Hugging Face makes of a GGUF: the config, and the weights as digests."""
    theirs = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    return {"config": theirs.config.to_dict(), "weights": digests(theirs)}


def kept(folder):
    """`read` of the bundled file from `folder`, where these bytes and versions are known."""
    path = bundled_path()
    with path.open("rb") as file:
        key = file_digest(file, "sha256").hexdigest(), *map(version, READERS)
    answer = folder / f"{'-'.join(key)}.json"
    with FileLock(folder / "lock"):
        if not answer.exists():
            whole.write(answer, json.dumps(read(path)))
        return json.loads(answer.read_text())


def model(config, weights):
    """Hugging Face's Llama of that config around those weights, which are not copied."""
    config = LlamaConfig.from_dict(config)
    with torch.device("meta"):
        theirs = LlamaForCausalLM(config)
    theirs.load_state_dict(weights, strict=False, assign=True)
    theirs.model.rotary_emb = LlamaRotaryEmbedding(config)  # not part of a state dict
    theirs.tie_weights()
    theirs.generation_config.eos_token_id = None
    return theirs.eval().requires_grad_(False)
