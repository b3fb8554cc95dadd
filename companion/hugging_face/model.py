"""Hugging Face's weights in our model."""

from typing import Any

import torch

from companion.hugging_face import refusals
from companion.model import LlamaForCausalLM
from companion.refusals import guarded_by


@guarded_by(refusals.from_hugging_face)
def from_hugging_face(model: Any) -> LlamaForCausalLM:
    """Our model with the weights of theirs, which both then share.

    Raises: ValueError for a model that is no causal language model of the Llama family,
    or computes something that is not computed here.
    """
    with torch.device("meta"):
        ours = LlamaForCausalLM(model.config)
    weights = model.state_dict()
    if ours.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)  # theirs names the embedding twice
    ours.load_state_dict(weights, assign=True)
    return ours.train(model.training)
