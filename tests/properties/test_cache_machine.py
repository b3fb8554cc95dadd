"""Whatever is done to a cache, in whatever order, it holds what a list of tokens would."""

import pytest
import tiny
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)
from strategies import normal, seeds

from companion import KVCache

LAYERS, BATCH = 3, 2
layers = st.integers(0, LAYERS - 1)


class Kept:
    """A cache, and beside it a list of keys and of values for each layer."""

    def __init__(self, cache, tokens):
        self.cache, self.tokens = cache, tokens

    def copied(self):
        return [list(each) for each in self.tokens]

    @property
    def lengths(self):
        return [len(each) for each in self.tokens]


def stacked(tokens):
    """A list of (key, value), as the two tensors that a layer gets."""
    if not tokens:
        return torch.empty(2, BATCH, 2, 0, 4, dtype=torch.float64)
    return torch.stack(
        [torch.stack(each) for each in zip(*tokens, strict=True)]
    ).movedim(1, 3)


class CacheMachine(RuleBasedStateMachine):
    """Layers take new tokens in any order; caches are cropped, copied to other lengths, overfilled."""

    caches = Bundle("caches")

    def __init__(self):
        super().__init__()
        self.all = []

    def keep(self, cache, tokens):
        self.all.append(Kept(cache, tokens))
        return self.all[-1]

    @initialize(target=caches, max_length=st.integers(1, 9))
    def empty(self, max_length):
        config = tiny.config(num_hidden_layers=LAYERS)
        cache = KVCache(config, BATCH, max_length, dtype=torch.float64)
        return self.keep(cache, [[] for _ in range(LAYERS)])

    @rule(kept=caches, layer=layers, length=st.integers(0, 4), seed=seeds)
    def update(self, kept, layer, length, seed):
        """One layer's new tokens go behind its old, or are refused whole: nothing is written."""
        new = normal(seed, 2, BATCH, 2, length, 4)
        if len(kept.tokens[layer]) + length > kept.cache.max_length:
            with pytest.raises(ValueError, match="more do not fit"):
                kept.cache.update(*new, layer)
            return
        returned = kept.cache.update(*new, layer)
        kept.tokens[layer] += [tuple(new[..., place, :]) for place in range(length)]
        assert torch.equal(torch.stack(returned), stacked(kept.tokens[layer]))

    @rule(kept=caches, length=st.integers(1, 2), seed=seeds)
    def step(self, kept, length, seed):
        """A forward pass: every layer, one after the other."""
        for layer in range(LAYERS):
            self.update(kept, layer, length, seed + layer)

    @rule(kept=caches, length=st.integers(0, 9))
    def crop(self, kept, length):
        """All layers keep the first tokens; more than each has are refused."""
        if length > min(kept.lengths):
            with pytest.raises(ValueError, match="cannot be cropped"):
                kept.cache.crop(length)
            return
        kept.cache.crop(length)
        for tokens in kept.tokens:
            del tokens[length:]

    @rule(target=caches, kept=caches, max_length=st.integers(1, 12))
    def resized(self, kept, max_length):
        """A copy: what is done to the one from now on is not seen in the other."""
        if len(set(kept.lengths)) > 1 or max_length < kept.lengths[0]:
            with pytest.raises(ValueError, match=r"max_length is|in the others"):
                kept.cache.resized(max_length)
            return multiple()
        other = self.keep(kept.cache.resized(max_length), kept.copied())
        assert other.cache.max_length == max_length
        return other

    @invariant()
    def every_cache_holds_its_tokens(self):
        for kept in self.all:
            cache, lengths = kept.cache, kept.lengths
            assert [cache.get_seq_length(layer) for layer in range(LAYERS)] == lengths
            assert cache.length == min(lengths)
            assert cache.shape == (LAYERS, BATCH, 2, cache.max_length, 4)
            assert cache.nbytes == 2 * 8 * cache.keys.numel()
            for layer, tokens in enumerate(kept.tokens):
                held = torch.stack([cache.keys[layer], cache.values[layer]])
                assert torch.equal(held[..., : len(tokens), :], stacked(tokens))


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(stateful_step_count=25)
