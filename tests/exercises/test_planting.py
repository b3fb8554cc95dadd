"""A fault that is planted changes what a Llama computes, and leaves the Llama as it was."""

import pytest
import torch

from companion import LlamaConfig, LlamaForCausalLM
from companion.exercises import FAULTS
from companion.exercises.planting import Planted
from companion.exercises.writing import cached, in_a_batch, whole

IDS = torch.tensor([[3, 71, 12, 40, 5, 88]])
PLANTED = [n for n, fault in FAULTS.items() if isinstance(fault.planted, Planted)]


@pytest.fixture(scope="module")
def model():
    """As many KV heads as query heads by three, as in SmolLM2, and an embedding as small as
    its: so that every fault is at work.
    """
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=96,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        rms_norm_eps=1e-5,
    )
    made = LlamaForCausalLM(config).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(5)
    for name, parameter in made.named_parameters():
        std = 0.02 if "embed_tokens" in name else 0.2
        parameter.normal_(1.0 if "norm" in name else 0.0, std, generator=generator)
    return made


def written(model, write):
    with torch.inference_mode():
        return write(model, IDS, 4)


@pytest.mark.parametrize("write", [cached, in_a_batch])
def test_the_ways_of_writing_agree_without_a_fault(model, write):
    expected = written(model, whole)
    torch.testing.assert_close(written(model, write), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_changes_the_logits_and_is_gone_afterwards(model, name):
    fault, before = FAULTS[name], written(model, whole)
    logits = fault.planted.logits(fault.wrong, model, IDS, 4)
    same = (logits.argmax(-1) == before.argmax(-1)).long().cumprod(0)
    until = int(same.sum()) + 1  # further on the texts are others
    apart = (logits[:until] - before[:until]).abs().max()
    assert apart > 5e-3 or apart.isnan()
    assert torch.equal(written(model, whole), before)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in PLANTED])
def test_what_is_not_planted_says_why(name):
    assert 4 < len(FAULTS[name].planted.split()) < 16


def test_a_place_is_in_the_package_or_in_a_model(model):
    layers = Planted({"model.layers.*.self_attn.attend": lambda wrong, owner: wrong})
    with layers.in_place(len, model):
        assert [layer.self_attn.attend for layer in model.model.layers] == [len, len]
    assert all(layer.self_attn.attend is not len for layer in model.model.layers)
    nowhere = Planted({"companion.decoder.no_such": lambda wrong, owner: wrong})
    with pytest.raises(AttributeError), nowhere.in_place(len, model):
        pass
