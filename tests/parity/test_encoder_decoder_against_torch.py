"""torch's own layers of the 2017 Transformer beside ours, with the same random weights.

torch's masks say True for "masked out" and ours for "may attend", so each is negated.
"""

import pytest
import torch
from torch import nn

from companion.masks import padding_mask
from companion.transformer_2017 import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    weights_from_torch,
)

# (hidden_size, num_heads, intermediate_size, source length, target length)
SIZES = [(8, 1, 16, 3, 2), (8, 2, 11, 4, 4), (60, 5, 17, 7, 5), (15, 3, 4, 2, 9)]
PRECISION = [(torch.float64, 1e-12), (torch.float32, 1e-5)]


def both(theirs_class, ours_class, sizes, dtype, **options):
    """torch's layer, and ours with its weights: no zero bias, no weight of one."""
    theirs = theirs_class(*sizes, batch_first=True, dtype=dtype, **options)
    theirs.eval().requires_grad_(False)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    ours = ours_class(*sizes, eps=options.get("layer_norm_eps", 1e-5)).to(dtype)
    ours.load_state_dict(weights_from_torch(theirs.state_dict()))
    return ours.eval().requires_grad_(False), theirs


def encoders(sizes, dtype, **options):
    return both(
        nn.TransformerEncoderLayer, TransformerEncoderLayer, sizes, dtype, **options
    )


def decoders(sizes, dtype, **options):
    return both(
        nn.TransformerDecoderLayer, TransformerDecoderLayer, sizes, dtype, **options
    )


def real(batch, length):
    """An attention_mask that pads each sequence after the first on the right."""
    return (torch.arange(length) < length - torch.arange(batch)[:, None] % length).int()


def assert_equal(ours, theirs, within):
    torch.testing.assert_close(ours, theirs, atol=within, rtol=0)


@pytest.mark.parametrize(("dtype", "within"), PRECISION)
@pytest.mark.parametrize("sizes", SIZES)
def test_encoder_layer(sizes, dtype, within):
    ours, theirs = encoders(sizes[:3], dtype)
    x = torch.randn(3, sizes[3], sizes[0], dtype=dtype)
    assert_equal(ours(x), theirs(x), within)
    assert_equal(ours(x[0]), theirs(x[0]), within)


@pytest.mark.parametrize(("dtype", "within"), PRECISION)
@pytest.mark.parametrize("sizes", SIZES)
def test_encoder_layer_with_padding(sizes, dtype, within):
    ours, theirs = encoders(sizes[:3], dtype)
    x = torch.randn(3, sizes[3], sizes[0], dtype=dtype)
    attention_mask = real(3, sizes[3])
    expected = theirs(x, src_key_padding_mask=~attention_mask.bool())
    assert_equal(ours(x, padding_mask(attention_mask)), expected, within)


@pytest.mark.parametrize(("dtype", "within"), PRECISION)
def test_encoder_layer_with_a_mask_of_its_own(dtype, within):
    ours, theirs = encoders((60, 5, 17), dtype)
    x = torch.randn(3, 7, 60, dtype=dtype)
    may_attend = torch.rand(7, 7) < 0.6
    may_attend.fill_diagonal_(True)
    expected = theirs(x, src_mask=~may_attend)
    assert_equal(ours(x, may_attend), expected, within)
    added = torch.randn(7, 7, dtype=dtype)
    assert_equal(ours(x, added), theirs(x, src_mask=added), within)


@pytest.mark.parametrize(("dtype", "within"), PRECISION)
@pytest.mark.parametrize("sizes", SIZES)
def test_decoder_layer(sizes, dtype, within):
    ours, theirs = decoders(sizes[:3], dtype)
    hidden, _, _, source, target = sizes
    memory = torch.randn(3, source, hidden, dtype=dtype)
    x = torch.randn(3, target, hidden, dtype=dtype)
    ahead = ~torch.ones(target, target, dtype=torch.bool).tril()
    assert_equal(ours(x, memory), theirs(x, memory, tgt_mask=ahead), within)
    everything = torch.ones(target, target, dtype=torch.bool)
    assert_equal(ours(x, memory, everything), theirs(x, memory), within)
    expected = theirs(x[0], memory[0], tgt_mask=ahead)
    assert_equal(ours(x[0], memory[0]), expected, within)


@pytest.mark.parametrize(("dtype", "within"), PRECISION)
@pytest.mark.parametrize("sizes", SIZES)
def test_decoder_layer_with_padding_on_both_sides(sizes, dtype, within):
    ours, theirs = decoders(sizes[:3], dtype)
    hidden, _, _, source, target = sizes
    memory = torch.randn(3, source, hidden, dtype=dtype)
    x = torch.randn(3, target, hidden, dtype=dtype)
    causal = torch.ones(target, target, dtype=torch.bool).tril()
    from_source, from_target = real(3, source), real(3, target)
    expected = theirs(
        x,
        memory,
        tgt_mask=~causal,
        tgt_key_padding_mask=~from_target.bool(),
        memory_key_padding_mask=~from_source.bool(),
    )
    answer = ours(
        x, memory, causal & padding_mask(from_target), padding_mask(from_source)
    )
    assert_equal(answer, expected, within)


def test_decoder_layer_with_a_mask_on_the_memory():
    ours, theirs = decoders((60, 5, 17), torch.float64)
    memory = torch.randn(2, 7, 60, dtype=torch.float64)
    x = torch.randn(2, 4, 60, dtype=torch.float64)
    window = torch.arange(7) <= torch.arange(4)[:, None] + 2
    ahead = ~torch.ones(4, 4, dtype=torch.bool).tril()
    expected = theirs(x, memory, tgt_mask=ahead, memory_mask=~window)
    assert_equal(ours(x, memory, memory_mask=window), expected, 1e-12)


@pytest.mark.parametrize("make", [encoders, decoders])
def test_eps(make):
    ours, theirs = make((8, 2, 16), torch.float64, layer_norm_eps=0.3)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    memory = (x.flip(1),) if make is decoders else ()
    mask = {"tgt_mask": ~torch.ones(5, 5, dtype=torch.bool).tril()} if memory else {}
    assert_equal(ours(x, *memory), theirs(x, *memory, **mask), 1e-12)


def test_torch_weights_of_a_layer_with_norms_in_front_give_other_numbers():
    """A state dict does not say where the norms stand: it loads and is wrong."""
    ours, theirs = encoders((8, 2, 16), torch.float64, norm_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    assert (ours(x) - theirs(x)).abs().max() > 0.1


def test_stacks():
    """Two layers of either kind; every decoder layer reads the last encoder layer."""
    sizes, dtype = (24, 4, 10), torch.float64
    ours_enc, theirs_enc = zip(*(encoders(sizes, dtype) for _ in range(2)), strict=True)
    ours_dec, theirs_dec = zip(*(decoders(sizes, dtype) for _ in range(2)), strict=True)
    encoder = nn.TransformerEncoder(theirs_enc[0], 2, enable_nested_tensor=False).eval()
    decoder = nn.TransformerDecoder(theirs_dec[0], 2).eval()
    encoder.layers = nn.ModuleList(theirs_enc)
    decoder.layers = nn.ModuleList(theirs_dec)
    memory = torch.randn(2, 7, 24, dtype=dtype)
    x = torch.randn(2, 3, 24, dtype=dtype)
    ahead = ~torch.ones(3, 3, dtype=torch.bool).tril()
    expected = decoder(x, encoder(memory), tgt_mask=ahead)
    for layer in ours_enc:
        memory = layer(memory)
    for layer in ours_dec:
        x = layer(x, memory)
    assert_equal(x, expected, 1e-12)
