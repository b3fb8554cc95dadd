import tiny
import torch

from companion import KVCache


def keys_and_values(length, batch=1, **options):
    return torch.randn(2, batch, 2, length, 4, **options)


def test_new_tokens_go_behind_the_old():
    cache = KVCache(tiny.config(), 1, 10)
    first, second = keys_and_values(3), keys_and_values(2)
    for layer in (0, 1):
        cache.update(*first, layer)
    key, value = cache.update(*second, 0)
    assert torch.equal(key, torch.cat([first[0], second[0]], dim=2))
    assert torch.equal(value, torch.cat([first[1], second[1]], dim=2))


def test_layers_are_kept_apart():
    cache = KVCache(tiny.config(), 1, 10)
    first, second = keys_and_values(3), keys_and_values(3)
    cache.update(*first, 0)
    cache.update(*second, 1)
    assert torch.equal(cache.keys[0, :, :, :3], first[0])
    assert torch.equal(cache.values[1, :, :, :3], second[1])


def test_each_layer_counts_and_length_is_what_all_hold():
    cache = KVCache(tiny.config(), 1, 10)
    for layer, length in ((0, 0), (1, 3)):
        cache.update(*keys_and_values(3), layer)
        assert cache.length == length
    assert cache.get_seq_length() == cache.get_seq_length(1) == 3
    cache.update(*keys_and_values(2), 1)
    assert (cache.get_seq_length(0), cache.get_seq_length(1)) == (3, 5)
    assert cache.get_seq_length() == 3


def test_can_be_filled_to_the_last_place():
    cache = filled(max_length=4, length=3)
    for layer in (0, 1):
        key, _ = cache.update(*keys_and_values(1, batch=2), layer)
        assert key.shape == (2, 2, 4, 4)
    assert cache.length == cache.max_length == 4


def test_returns_what_it_stores_without_a_copy():
    cache = KVCache(tiny.config(), 1, 4)
    key, value = cache.update(*keys_and_values(2), 1)
    assert key.untyped_storage().data_ptr() == cache.keys.untyped_storage().data_ptr()
    assert (
        value.untyped_storage().data_ptr() == cache.values.untyped_storage().data_ptr()
    )


def test_size_and_place(device):
    config = tiny.config(
        num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3, head_dim=8
    )
    cache = KVCache(config, 5, 7, dtype=torch.bfloat16, device=device)
    assert cache.keys.shape == (3, 5, 3, 7, 8)
    assert cache.keys.device.type == device
    assert cache.nbytes == 2 * (3 * 5 * 3 * 7 * 8) * 2
    assert cache.max_length == 7


def filled(max_length=6, length=4):
    cache = KVCache(tiny.config(), 2, max_length)
    for layer in (0, 1):
        cache.update(*keys_and_values(length, batch=2), layer)
    return cache


def test_crop_forgets_the_last_tokens():
    cache = filled()
    kept = cache.keys[:, :, :, :3].clone()
    cache.crop(3)
    assert cache.length == 3
    assert cache.max_length == 6
    new = keys_and_values(2, batch=2)
    key, _ = cache.update(*new, 1)
    assert torch.equal(key, torch.cat([kept[1], new[0]], dim=2))


def test_crop_to_all_or_none():
    cache = filled()
    cache.crop(4)
    assert cache.length == 4
    cache.crop(0)
    assert cache.length == 0


def test_resized_is_a_copy_with_more_room():
    cache = filled()
    before = cache.keys.clone()
    larger = cache.resized(9)
    assert (larger.length, larger.max_length, larger.shape) == (4, 9, (2, 2, 2, 9, 4))
    assert torch.equal(larger.keys[:, :, :, :4], cache.keys[:, :, :, :4])
    assert torch.equal(larger.values[:, :, :, :4], cache.values[:, :, :, :4])
    larger.update(*keys_and_values(5, batch=2), 0)
    larger.keys.zero_()
    assert (cache.lengths, cache.max_length) == ([4, 4], 6)
    assert torch.equal(cache.keys, before)


def test_resized_to_what_is_held():
    smaller = filled().resized(4)
    assert smaller.length == smaller.max_length == 4
