"""Hugging Face's Llama with our layers in place of its own."""

import copy

from transformers.modeling_layers import GradientCheckpointingLayer

import companion


class OurLayer(companion.LlamaDecoderLayer, GradientCheckpointingLayer):
    """Ours, with Hugging Face's checkpointing around forward."""


def with_our_layers(theirs, layer=companion.LlamaDecoderLayer, **options):
    """A copy of their model, its layers exchanged for ours with the same weights."""
    model = copy.deepcopy(theirs)
    for index, old in enumerate(model.model.layers):
        model.model.layers[index] = layer(theirs.config, index, **options)
        model.model.layers[index].load_state_dict(old.state_dict())
    return model.to(theirs.dtype).train(theirs.training)
