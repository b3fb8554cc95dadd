import pytest
import tiny
import torch

from companion import LlamaConfig, load

OPTIONS = {
    "GQA": {},
    "MQA, head_dim apart": {"num_key_value_heads": 1, "head_dim": 16},
    "MHA": {"num_key_value_heads": 8},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "theta and eps": {"rope_theta": 5e5, "rms_norm_eps": 1e-3},
}


def assert_same_logits(loaded, theirs):
    ids = torch.randint(97, (2, 64))
    torch.testing.assert_close(loaded(ids), theirs(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shard_size", ["1GB", "50KB"], ids=["one file", "shards"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_directory(hf_llama, tmp_path, options, shard_size):
    theirs = hf_llama(**options)
    theirs.save_pretrained(tmp_path, max_shard_size=shard_size)
    files = list(tmp_path.glob("*.safetensors"))
    assert (len(files) > 3) == (shard_size == "50KB")
    loaded, tokenizer = load(tmp_path, device="cpu")
    assert tokenizer is None
    assert_same_logits(loaded, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_directory_in_half_precision(hf_llama, tmp_path, dtype):
    hf_llama(dtype=dtype).save_pretrained(tmp_path)
    loaded, _ = load(tmp_path, dtype, device="cpu")
    wide, _ = load(tmp_path, device="cpu")
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == dtype
        assert torch.equal(weight.float(), wide.state_dict()[name])


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "biases"])
def test_gguf(hf_llama, tmp_path, name):
    theirs = hf_llama(vocab_size=len(tiny.TOKENS), **OPTIONS[name])
    weights = dict(theirs.state_dict())
    config = LlamaConfig.from_hf(theirs.config.to_dict())
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    loaded, tokenizer = load(
        tiny.write_gguf(tmp_path / "tiny.gguf", config, weights), device="cpu"
    )
    assert tokenizer.vocab_size == len(tiny.TOKENS)
    assert_same_logits(loaded, theirs)


def test_gguf_as_hugging_face_reads_it(hf_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    theirs = hf_llama(vocab_size=len(tiny.TOKENS))
    config = LlamaConfig.from_hf(theirs.config.to_dict())
    path = tiny.write_gguf(tmp_path / "tiny.gguf", config, theirs.state_dict())
    read = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32
    ).eval()
    assert_same_logits(load(path, device="cpu")[0], read)
