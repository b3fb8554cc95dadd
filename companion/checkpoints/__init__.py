"""Files in: a model and its tokenizer from safetensors, from GGUF, or the bundled one."""

from companion.checkpoints.loading import bundled_path, load

__all__ = ["bundled_path", "load"]
