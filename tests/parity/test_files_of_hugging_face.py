import json

import llama_cpp_golden
import pytest
import tiny_files
import torch
from safetensors.torch import load_file, save_file

from companion import LlamaConfig, load

OPTIONS = {
    "GQA": {},
    "MQA, head_dim apart": {"num_key_value_heads": 1, "head_dim": 16},
    "MHA": {"num_key_value_heads": 8},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "biases, head_dim apart": {"attention_bias": True, "head_dim": 12},
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


def read(path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, local_files_only=True).eval()


def saved_over(first, second, path):
    first.save_pretrained(path, max_shard_size="50KB")
    second.save_pretrained(path)  # removes the shards and leaves their index
    assert (path / "model.safetensors.index.json").exists()


def shards_saved_over(first, second, path):
    first.save_pretrained(path, max_shard_size="25KB")
    second.save_pretrained(path, max_shard_size="50KB")


def named_by_the_config(first, second, path):
    first.save_pretrained(path)
    (path / "model.safetensors").rename(path / "first.safetensors")
    second.save_pretrained(path)
    config = json.loads((path / "config.json").read_text())
    config["transformers_weights"] = "first.safetensors"
    (path / "config.json").write_text(json.dumps(config))


def beside_a_pickle(first, second, path):
    second.save_pretrained(path)
    torch.save(first.state_dict(), path / "pytorch_model.bin")


def beside_a_consolidated_copy(first, second, path):
    second.save_pretrained(path, max_shard_size="50KB")
    weights = {name: x.clone() for name, x in first.state_dict().items()}
    save_file(weights, path / "consolidated.safetensors")


@pytest.mark.parametrize(
    "write",
    [
        saved_over,
        shards_saved_over,
        named_by_the_config,
        beside_a_pickle,
        beside_a_consolidated_copy,
    ],
)
def test_choice_among_weights(hf_llama, tmp_path, write):
    first, second = hf_llama(), hf_llama()
    write(first, second, tmp_path)
    theirs = read(tmp_path)
    assert_same_logits(load(tmp_path, device="cpu")[0], theirs)
    chosen = first if write is named_by_the_config else second
    assert torch.equal(theirs.lm_head.weight, chosen.lm_head.weight)


def test_one_file_and_shards_of_a_newer_save(hf_llama, tmp_path):
    """Hugging Face then loads the older weights; we say that there are two."""
    first, second = hf_llama(), hf_llama()
    first.save_pretrained(tmp_path)
    second.save_pretrained(tmp_path, max_shard_size="50KB")
    assert torch.equal(read(tmp_path).lm_head.weight, first.lm_head.weight)
    with pytest.raises(ValueError, match="older save"):
        load(tmp_path, device="cpu")


@pytest.mark.parametrize("before", ["", "model.model."], ids=repr)
def test_base_model(hf_llama, tmp_path, before):
    """A LlamaModel saved alone, and names with one prefix too many."""
    theirs = hf_llama(tie_word_embeddings=True)
    theirs.model.save_pretrained(tmp_path)
    if before:
        path = tmp_path / "model.safetensors"
        weights = {before + name: x for name, x in load_file(path).items()}
        save_file(weights, path, metadata={"format": "pt"})
    assert torch.equal(read(tmp_path).lm_head.weight, theirs.lm_head.weight)
    assert_same_logits(load(tmp_path, device="cpu")[0], theirs)


def test_more_rows_than_the_vocabulary_has(hf_llama, tmp_path):
    hf_llama().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 90}))
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"with vocab_size 97 in config\.json it fits"):
        load(tmp_path, device="cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_directory_in_half_precision(hf_llama, tmp_path, dtype):
    hf_llama(dtype=dtype).save_pretrained(tmp_path)
    loaded, _ = load(tmp_path, dtype, device="cpu")
    wide, _ = load(tmp_path, device="cpu")
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == dtype
        assert torch.equal(weight.float(), wide.state_dict()[name])


def write_gguf(theirs, path, **options):
    """The GGUF that llama.cpp's converter makes: rows of q and k permuted, a tied head left out."""
    weights = dict(theirs.state_dict())
    config = LlamaConfig.from_hf(theirs.config.to_dict())
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return tiny_files.write_gguf(path / "tiny.gguf", config, weights, **options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gguf(hf_llama, tmp_path, options):
    theirs = hf_llama(vocab_size=len(tiny_files.TOKENS), **options)
    loaded, tokenizer = load(write_gguf(theirs, tmp_path), device="cpu")
    assert tokenizer.vocab_size == len(tiny_files.TOKENS)
    assert_same_logits(loaded, theirs)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gguf_and_directory_of_one_model(hf_llama, tmp_path, options):
    """The one has the rows of q and k permuted, the other not; loaded, all bits are the same."""
    theirs = hf_llama(vocab_size=len(tiny_files.TOKENS), **options)
    theirs.save_pretrained(tmp_path)
    of_directory, _ = load(tmp_path, device="cpu")
    of_gguf, _ = load(write_gguf(theirs, tmp_path), device="cpu")
    weights = of_gguf.state_dict()
    assert weights.keys() == of_directory.state_dict().keys()
    for name, weight in of_directory.state_dict().items():
        assert torch.equal(weights[name], weight), name


# Hugging Face reads neither the biases of a GGUF nor a head_dim apart without rope.dimension_count
@pytest.mark.parametrize("name", [name for name in OPTIONS if "bias" not in name])
def test_gguf_as_hugging_face_reads_it(hf_llama, tmp_path, name):
    from transformers import AutoModelForCausalLM

    theirs = hf_llama(vocab_size=len(tiny_files.TOKENS), **OPTIONS[name])
    metadata = {"llama.rope.dimension_count": theirs.config.head_dim}
    path = write_gguf(theirs, tmp_path, metadata=metadata)
    read = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32
    ).eval()
    assert_same_logits(load(path, device="cpu")[0], read)


SCALINGS = {
    "linear": ({"factor": 4.0}, {}),
    "yarn": (
        {"factor": 4.0, "original_max_position_embeddings": 32},
        {"original_context_length": 32},
    ),
    "yarn, all given": (
        {
            "factor": 4.0,
            "original_max_position_embeddings": 32,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
            "attention_factor": 1.25,
        },
        {
            "original_context_length": 32,
            "yarn_beta_fast": 16.0,
            "yarn_beta_slow": 2.0,
            "yarn_attn_factor": 1.25,
        },
    ),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_scaled_rope_of_a_gguf_is_that_of_the_model_it_was_made_from(
    hf_llama, tmp_path, name
):
    """With the metadata that llama.cpp's converter writes."""
    scaling, metadata = SCALINGS[name]
    kind = name.split(",")[0]
    rope = {"rope_type": kind, "rope_theta": 500.0, **scaling}
    theirs = hf_llama(vocab_size=len(tiny_files.TOKENS), rope_parameters=rope)
    written = {"type": kind, "factor": 4.0, **metadata}
    path = write_gguf(
        theirs,
        tmp_path,
        metadata={f"llama.rope.scaling.{key}": x for key, x in written.items()},
    )
    assert_same_logits(load(path, device="cpu")[0], theirs)


def test_frequency_factors_of_a_gguf_are_those_of_llama_3(hf_llama, tmp_path):
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    theirs = hf_llama(vocab_size=len(tiny_files.TOKENS), rope_parameters=rope)
    plain = 500.0 ** -(torch.arange(0, 8, 2) / 8)
    factors = (plain / theirs.model.rotary_emb.inv_freq).numpy()
    assert 1 < factors.max() <= 8.01
    path = write_gguf(theirs, tmp_path, tensors={"rope_freqs.weight": factors})
    assert_same_logits(load(path, device="cpu")[0], theirs)


# ---- as llama.cpp reads it

RECORDED = json.loads(llama_cpp_golden.STORED.read_text())["cases"]


@pytest.mark.parametrize("name", llama_cpp_golden.CASES)
def test_logits_of_llama_cpp(name, tmp_path):
    path = llama_cpp_golden.write(name, tmp_path / "tiny.gguf")
    model, _ = load(path, device="cpu")
    logits = model(torch.tensor([llama_cpp_golden.IDS]))[0, 7::8, :8]
    recorded = torch.tensor(RECORDED[name])
    torch.testing.assert_close(logits, recorded, atol=1e-4, rtol=0)


def test_recorded_scalings_differ():
    """So that none of them passes for another."""
    plain = torch.tensor(RECORDED["plain"])
    for name in ("linear", "YaRN", "YaRN, attn_factor", "frequency factors"):
        assert (torch.tensor(RECORDED[name]) - plain).abs().max() > 0.1
