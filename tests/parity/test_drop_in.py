"""Our decoder layers inside Hugging Face's Llama: masks, caches, generation."""

import pytest
import torch
from exchanged import with_our_layers
from transformers import DynamicCache, StaticCache

from companion import LlamaDecoderLayer, causal_mask

TOLERANCE = {"atol": 1e-4, "rtol": 0}


# ---- masks


def masks():
    """What callers may hand to their model, for three texts of 12 tokens."""
    starts = torch.tensor([[0], [4], [11]])
    left = torch.arange(12) >= starts
    tree = causal_mask(12) & (torch.rand(3, 1, 12, 12) < 0.7) | torch.eye(12).bool()
    restart = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3]])
    return {
        "none": {},
        "all real": {"attention_mask": torch.ones(3, 12, dtype=torch.long)},
        "padded left": {"attention_mask": left.long()},
        "padded right": {"attention_mask": left.flip(-1).long()},
        "own bool": {"attention_mask": tree},
        "own additive": {
            "attention_mask": torch.zeros(3, 1, 12, 12).masked_fill(~tree, -1e9)
        },
        "packed texts": {"position_ids": restart, "use_cache": False},
        "positions of its own": {
            "position_ids": torch.randint(0, 4, (3, 12)).cumsum(-1),
            "attention_mask": torch.ones(3, 12, dtype=torch.long),
        },
    }


# their eager attention takes no bool mask: it would add it to the scores as 0 and 1
KINDS = [
    (attention, kind)
    for attention in ("eager", "sdpa")
    for kind in masks()
    if (attention, kind) != ("eager", "own bool")
]


@pytest.mark.parametrize(("attention", "kind"), KINDS)
def test_every_mask(hf_llama, attention, kind):
    theirs = hf_llama(attention)
    ids, options = torch.randint(97, (3, 12)), masks()[kind]
    expected = theirs(ids, **options).logits
    logits = with_our_layers(theirs)(ids, **options).logits
    real = options.get("attention_mask", torch.ones(3, 12))
    real = real.bool() if real.ndim == 2 else torch.ones(3, 12, dtype=torch.bool)
    torch.testing.assert_close(logits[real], expected[real], **TOLERANCE)


def test_bit_for_bit_with_their_eager_attention(hf_llama):
    theirs = hf_llama("eager")
    ids = torch.randint(97, (3, 12))
    mask = masks()["padded left"]["attention_mask"]
    expected = theirs(ids, attention_mask=mask).logits
    logits = with_our_layers(theirs)(ids, attention_mask=mask).logits
    assert torch.equal(logits, expected)


# ---- caches


CACHES = {
    "dynamic": lambda config: DynamicCache(config=config),
    "static": lambda config: StaticCache(config=config, max_cache_len=16),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True], ids=["no mask", "padded left"])
@pytest.mark.parametrize("chunks", [[12], [9, 1, 1, 1], [4, 4, 4]], ids=str)
@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
def test_their_caches(hf_llama, attention, padded, chunks, cache):
    theirs = hf_llama(attention)
    ours, ids = with_our_layers(theirs), torch.randint(97, (2, 12))
    start = torch.tensor([[0], [3 * padded]])
    mask = (torch.arange(12) >= start).long()
    our_cache, their_cache = cache(theirs.config), cache(theirs.config)
    stop = 0
    for chunk in ids.split(chunks, dim=1):
        stop += chunk.shape[1]
        options = {"attention_mask": mask[:, :stop]} if padded else {}
        expected = theirs(chunk, past_key_values=their_cache, **options).logits
        logits = ours(chunk, past_key_values=our_cache, **options).logits
        real = mask[:, stop - chunk.shape[1] : stop].bool()
        torch.testing.assert_close(logits[real], expected[real], **TOLERANCE)
    for our_layer, their_layer in zip(
        our_cache.layers, their_cache.layers, strict=True
    ):
        torch.testing.assert_close(
            our_layer.keys[0], their_layer.keys[0], atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
def test_layer_alone_needs_no_mask_with_their_caches(hf_llama, cache):
    theirs = hf_llama()
    layer = LlamaDecoderLayer(theirs.config, 0).eval()
    layer.load_state_dict(theirs.model.layers[0].state_dict())
    x, room = torch.randn(2, 9, 64), cache(theirs.config)
    through = [layer(part, past_key_values=room) for part in x.split([4, 4, 1], dim=1)]
    torch.testing.assert_close(torch.cat(through, 1), layer(x), atol=1e-5, rtol=0)


GENERATION = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "temperature": 0.8, "top_k": 20, "top_p": 0.9},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2},
    "static cache": {
        "do_sample": False, "cache_implementation": "static", "disable_compile": True
    },
    "prompt lookup": {"do_sample": False, "prompt_lookup_num_tokens": 3},
    "without a cache": {"do_sample": False, "use_cache": False},
}  # fmt: skip


@pytest.mark.parametrize("options", GENERATION.values(), ids=GENERATION)
def test_generation(hf_llama, options):
    theirs = hf_llama(dtype=torch.float64)
    theirs.generation_config.eos_token_id = None
    ids = torch.randint(97, (1 if "prompt_lookup_num_tokens" in options else 3, 8))
    mask = (torch.arange(8) >= torch.tensor([[0], [3], [7]]))[: len(ids)].long()
    texts = []
    for model in (theirs, with_our_layers(theirs)):
        torch.manual_seed(5)
        texts.append(
            model.generate(
                ids, attention_mask=mask, max_new_tokens=16, pad_token_id=0, **options
            )
        )
    assert torch.equal(*texts)


def test_assisted_generation(hf_llama):
    theirs = hf_llama(dtype=torch.float64)
    theirs.generation_config.eos_token_id = None
    ours, ids = with_our_layers(theirs), torch.randint(97, (1, 8))
    alone = theirs.generate(ids, max_new_tokens=12, do_sample=False)
    for model, assistant in ((theirs, ours), (ours, theirs)):
        helped = model.generate(
            ids, max_new_tokens=12, do_sample=False, assistant_model=assistant
        )
        assert torch.equal(helped, alone)
