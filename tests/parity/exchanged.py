"""Hugging Face's Llama with our layers in place of its own."""

import copy

from companion.hugging_face import LlamaDecoderLayer


def with_our_layers(theirs):
    """A copy of their model, its layers exchanged for ours with the same weights."""
    model = copy.deepcopy(theirs)
    for index, old in enumerate(model.model.layers):
        model.model.layers[index] = LlamaDecoderLayer(theirs.config, index)
        model.model.layers[index].load_state_dict(old.state_dict())
    return model.to(theirs.dtype).train(theirs.training)
