"""Models with other weights: what changes, what is shared, how far logits are off."""

import pytest
import tiny
import torch
import torch.nn.functional as F

from companion import fast, generate
from companion.fast.onednn import PackedLinear
from companion.fast.quantized import Int4Linear, Int8Linear
from companion.fast.weights import with_rows

SIZES = {"hidden_size": 32, "intermediate_size": 64}
MAKE = {
    "packed": (fast.packed, PackedLinear, PackedLinear),
    "int8": (fast.int8, Int8Linear, Int8Linear),
    "int4": (fast.int4, Int4Linear, Int8Linear),
}


def small(**changes):
    return tiny.model(std=0.2, **SIZES, **changes)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", MAKE)
def test_every_matrix_is_replaced_and_all_else_shared(name, tied):
    make, layers, head = MAKE[name]
    model = small(tie_word_embeddings=tied)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    other = make(model)
    found = [type(each) for key, each in other.named_modules() if "_proj" in key]
    assert found == [layers] * 14
    assert type(other.lm_head) is head
    kept = dict(model.named_parameters())
    for key, parameter in other.named_parameters():
        if "norm" in key or "embed_tokens" in key:
            assert parameter.data_ptr() == kept[key].data_ptr()
    assert hasattr(model, "lm_head") is not tied
    assert model.config.tie_word_embeddings is tied
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("name", "off"), [("packed", 2e-6), ("int8", 0.02), ("int4", 0.2)]
)
def test_logits_are_those_of_the_model_up_to_rounding(name, off, tied):
    model = small(tie_word_embeddings=tied)
    ids = tiny.ids(2, 9)
    expected = model(ids)
    error = (MAKE[name][0](model)(ids) - expected).abs().max() / expected.abs().max()
    assert error < off
    assert name == "packed" or error > off / 100


def test_rows_of_a_quantized_model_stay_quantized():
    model = fast.int4(small())
    rows = with_rows(model)
    assert type(rows.model.layers[0].mlp.up_proj) is Int4Linear
    assert type(rows.lm_head) is Int8Linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MAKE)
def test_they_generate(name, dtype):
    model = MAKE[name][0](tiny.model(dtype, std=0.2, **SIZES))
    found = generate(model, tiny.ids(2, 4), 5)
    assert found.shape == (2, 9)
    assert model.dtype == dtype


def test_the_bundled_model_has_four_bits_a_weight_already(bundled):
    model, _ = bundled
    quantized = fast.int4(model)
    for name, each in quantized.model.named_modules():
        if isinstance(each, Int4Linear):
            weight = model.model.get_submodule(name).weight
            torch.testing.assert_close(
                each.dense(torch.float32), weight, rtol=0, atol=2e-6
            )


@pytest.mark.parametrize(("name", "least"), [("int8", 0.995), ("int4", 0.9998)])
def test_quality_on_the_bundled_model(bundled, name, least):
    model, tokenizer = bundled
    text = "Alice was beginning to get very tired of sitting by her sister on the bank"
    ids = torch.tensor([tokenizer.encode(text)])
    with torch.inference_mode():
        expected = model(ids)
        found = MAKE[name][0](model)(ids)
    assert F.cosine_similarity(found, expected, dim=-1).mean() > least
