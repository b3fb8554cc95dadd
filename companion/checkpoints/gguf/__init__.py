"""GGUF, llama.cpp's format: a header of metadata, a config, and tensors, often quantized."""
