"""Our decoder layers inside Hugging Face's Llama: gradients, what is recorded, parts."""

import pytest
import torch
from exchanged import with_our_layers
from transformers import LlamaForCausalLM
from transformers.monkey_patching import clear_patch_mapping, register_patch_mapping

import companion
from companion import causal_mask, hugging_face
from companion.hugging_face.attention import attention_and_weights

TOLERANCE = {"atol": 1e-4, "rtol": 0}


# ---- training


def gradients(model, ids, seed=7, **options):
    """The loss of guessing `ids`, and its gradient in every weight."""
    model.train().requires_grad_(True).zero_grad()
    torch.manual_seed(seed)
    loss = model(ids, labels=ids, **options).loss
    loss.backward()
    return loss, {name: p.grad.clone() for name, p in model.named_parameters()}


def assert_same_gradients(ours, theirs, **tolerance):
    torch.testing.assert_close(ours[0], theirs[0], **tolerance)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, **tolerance, msg=name)
        assert gradient.abs().max() > 1e-6, name


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients(hf_llama, attention, dropout):
    theirs = hf_llama(attention, torch.float64, attention_dropout=dropout)
    ours, ids = with_our_layers(theirs), torch.randint(97, (2, 12))
    expected = gradients(theirs, ids)
    assert_same_gradients(gradients(ours, ids), expected, atol=1e-6, rtol=1e-5)
    if dropout:
        other = gradients(ours, ids, seed=8)[0]
        assert not torch.allclose(other, expected[0], atol=1e-6)
        assert torch.equal(ours.eval()(ids).logits, ours(ids).logits)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing(hf_llama, reentrant, dropout):
    theirs = hf_llama("eager", torch.float64, attention_dropout=dropout)
    ours, ids = with_our_layers(theirs), torch.randint(97, (2, 12))
    expected = gradients(theirs, ids)
    calls = []
    ours.model.layers[1].self_attn.register_forward_hook(lambda *_: calls.append(1))
    assert_same_gradients(gradients(ours, ids), expected, atol=1e-6, rtol=1e-5)
    assert len(calls) == 1
    ours.activation_checkpointing_enable({"use_reentrant": reentrant})
    ours.enable_input_require_grads()
    assert_same_gradients(gradients(ours, ids), expected, atol=1e-6, rtol=1e-5)
    assert len(calls) == 3


# ---- what they record


def test_recorded_outputs(hf_llama):
    theirs, ids = hf_llama("eager"), torch.randint(97, (2, 12))
    wanted = {"output_attentions": True, "output_hidden_states": True}
    expected, recorded = (
        model(ids, **wanted) for model in (theirs, with_our_layers(theirs))
    )
    for name in ("attentions", "hidden_states"):
        assert len(recorded[name]) == 3 + (name == "hidden_states")
        for our, their in zip(recorded[name], expected[name], strict=True):
            torch.testing.assert_close(our, their, **TOLERANCE)


def test_loaded_with_our_layers(hf_llama, tmp_path):
    theirs, ids = hf_llama(), torch.randint(97, (2, 12))
    theirs.save_pretrained(tmp_path)
    register_patch_mapping({"LlamaDecoderLayer": hugging_face.LlamaDecoderLayer})
    try:
        ours = LlamaForCausalLM.from_pretrained(tmp_path)
    finally:
        clear_patch_mapping()
    kinds = {type(layer) for layer in ours.model.layers}
    assert kinds == {hugging_face.LlamaDecoderLayer}
    made = ours(ids, output_hidden_states=True)
    expected = theirs(ids)
    torch.testing.assert_close(made.logits, expected.logits, **TOLERANCE)
    assert len(made.hidden_states) == 4


def test_weights_are_those_of_the_output():
    query, key, value = torch.randn(3, 2, 4, 6, 8).unbind(0)
    options = {"attn_mask": causal_mask(6), "scale": 0.2}
    output, weights = attention_and_weights(query, key, value, **options)
    assert torch.equal(weights @ value, output)
    assert torch.equal(
        companion.scaled_dot_product_attention(query, key, value, **options), output
    )
    torch.manual_seed(3)
    dropped, kept = attention_and_weights(query, key, value, dropout_p=0.5)
    torch.manual_seed(3)
    assert torch.equal(
        companion.scaled_dot_product_attention(query, key, value, dropout_p=0.5),
        dropped,
    )
    assert 0.3 < kept.eq(0).double().mean() < 0.7


# ---- parts of the layer


PARTS = {
    "self_attn": lambda config: hugging_face.LlamaAttention(config, 1),
    "mlp": companion.LlamaMLP,
    "input_layernorm": lambda config: companion.LlamaRMSNorm(64, config.rms_norm_eps),
}


@pytest.mark.parametrize("name", PARTS)
def test_one_part_of_their_layer(hf_llama, name):
    theirs, ids = hf_llama(), torch.randint(97, (2, 12))
    expected = theirs(ids).logits
    layer = theirs.model.layers[1]
    part = PARTS[name](theirs.config).eval()
    part.load_state_dict(getattr(layer, name).state_dict())
    setattr(layer, name, part)
    torch.testing.assert_close(theirs(ids).logits, expected, **TOLERANCE)


def test_rotary_embedding_of_their_model(hf_llama):
    theirs, ids = hf_llama(), torch.randint(97, (2, 12))
    expected = theirs(ids).logits
    theirs.model.rotary_emb = companion.LlamaRotaryEmbedding(theirs.config)
    assert torch.equal(theirs(ids).logits, expected)


# ---- their weights and their layers in our model


@pytest.mark.parametrize("tied", [False, True])
def test_their_model_as_ours(hf_llama, tied):
    theirs, ids = hf_llama(tie_word_embeddings=tied), torch.randint(97, (2, 12))
    ours = hugging_face.from_hugging_face(theirs)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, **TOLERANCE)
    embedding = theirs.model.embed_tokens.weight
    assert ours.model.embed_tokens.weight.data_ptr() == embedding.data_ptr()
    assert not ours.training
    text = companion.generate(ours, ids, 6)
    theirs.generation_config.eos_token_id = None
    written = theirs.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(text, written)


def test_their_layer_in_our_model(hf_llama):
    theirs, ids = hf_llama("sdpa"), torch.randint(97, (2, 12))
    ours = hugging_face.from_hugging_face(theirs)
    expected, text = ours(ids), companion.generate(ours, ids, 6)
    ours.model.layers[1] = theirs.model.layers[1]
    torch.testing.assert_close(ours(ids), expected, **TOLERANCE)
    assert torch.equal(companion.generate(ours, ids, 6), text)


def test_model_takes_their_config(hf_llama):
    theirs, ids = hf_llama(), torch.randint(97, (2, 12))
    ours = companion.LlamaForCausalLM(theirs.config)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.eval()(ids), theirs(ids).logits, **TOLERANCE)
