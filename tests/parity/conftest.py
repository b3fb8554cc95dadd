"""Hugging Face's Llama beside ours, with the same random weights, or SmolLM2's."""

import pytest
import reference


@pytest.fixture
def hf_llama():
    """Make a random Hugging Face Llama with weights wide enough for a fault to show."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def make(attention="sdpa", dtype=torch.float32, **options):
        sizes = {
            "vocab_size": 97,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "initializer_range": 0.2,
        }
        config = LlamaConfig(**{**sizes, **options}, attn_implementation=attention)
        model = LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
            elif name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.2)
        return model

    return make


@pytest.fixture
def as_ours():
    """Make our model of a Hugging Face one: its config dict, its weights by name."""
    from companion import LlamaConfig, LlamaForCausalLM

    def make(theirs, **options):
        ours = LlamaForCausalLM(LlamaConfig.from_hf(theirs.config.to_dict()), **options)
        weights = dict(theirs.state_dict())
        if ours.config.tie_word_embeddings:
            del weights["lm_head.weight"]
        ours.load_state_dict(weights)
        return ours.to(theirs.dtype).eval().requires_grad_(False)

    return make


# ---- the bundled model


@pytest.fixture(scope="session")
def read_by_hugging_face(request):
    """Config and digests of the weights, kept by pytest's cache for other workers and runs."""
    return reference.kept(request.config.cache.mkdir("smollm2_by_hugging_face"))


@pytest.fixture(scope="session")
def hf_smollm2(read_by_hugging_face, bundled):
    """Hugging Face's model of the bundled file: its weights are ours where the bits are."""
    assert reference.digests(bundled[0]) == read_by_hugging_face["weights"]
    return reference.model(read_by_hugging_face["config"], bundled[0].state_dict())
