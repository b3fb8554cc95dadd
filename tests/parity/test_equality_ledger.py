"""The book's equality ledger: every station's output beside another way to the same numbers.

The appendix book/equality_ledger.md is what this run found. `make ledger` writes it; the last
test fails where its claims are no longer those of the run.
"""

import math
import os
import sys
from functools import partial
from pathlib import Path

import pytest
import tiny
import tiny_files
import torch
import torch.nn.functional as F
import whole
from exchanged import with_our_layers
from execute import LOOK

from companion import (
    KVCache,
    LlamaDecoderLayer,
    LlamaRotaryEmbedding,
    MultiHeadAttention,
    apply_rope,
    causal_mask,
    fast,
    generate,
    load,
    merge_heads,
    parallel,
    position_ids_from_mask,
    repeat_kv,
    rms_norm,
    scaled_dot_product_attention,
    split_heads,
    swiglu,
)
from companion.exercises.rope import rope_interleaved
from companion.fast import kernels
from companion.hugging_face import attention_interface, from_hugging_face
from companion.parallel.examples import attention_parts
from companion.rope import half_from_interleaved, rope_cos_sin
from companion.show import EqualityLedger, chain, example, table
from companion.show.kernels.programs import program_steps
from companion.transformer_2017 import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    weights_from_torch,
)

pytestmark = pytest.mark.bundled  # one row is, and the page is of all rows
KERNEL = ("attention_forward",)
PAGE = Path(__file__).parents[2] / "book/equality_ledger.md"
HEAD = """# The equality ledger

Each chapter computes something that can also be computed in another way: by hand, by the
chapter before, by torch, or by Hugging Face's Transformers. This page sets both side by side.
The test suite runs all of it on every change and fails where a claim is false, so nothing here
is copied by hand.

*exact* means equal bit for bit. Otherwise the two may round differently (most
often because a sum runs in another order): the row names the bound that the test enforces, and
last the largest difference found when this page was written, on a CPU. {count} claims, {exact} of them exact.
"""
CHAIN = (
    "The stations, each set beside the one before it and beside other implementations. A dot is a "
    "claim that is exact, a ring one that holds within its bound."
)


class Stations:
    """The ledgers of this run, by chapter, in the book's order."""

    def __init__(self):
        self.ledgers: dict[tuple[str, str], EqualityLedger] = {}

    def __call__(self, title: str, chapter: str) -> EqualityLedger:
        return self.ledgers.setdefault((title, chapter), EqualityLedger())

    def page(self) -> str:
        """The appendix, with the differences of this run."""
        rows = [row for ledger in self.ledgers.values() for row in ledger.rows]
        exact = sum(row[-1] == "exact" for row in rows)
        text = [HEAD.format(count=len(rows), exact=exact)]
        titled = {title: ledger for (title, _), ledger in self.ledgers.items()}
        drawn = chain(titled, CHAIN)._repr_html_()
        text.append(f"```{{raw}} html\n{LOOK.sub('', drawn)}\n```\n")
        for (title, chapter), ledger in self.ledgers.items():
            found = ["0" if worst == 0 else f"{worst:.1e}" for worst in ledger.worst]
            head = (*ledger.table().head, "found")
            rows = [
                (*row, worst)
                for row, worst in zip(ledger.table().rows, found, strict=True)
            ]
            drawn = table(head, rows).html().replace("<tr>", "\n<tr>")
            text.append(f"## [{title}]({chapter}.ipynb)\n")
            box = f'<div class="pst-scrollable-table-container">{drawn}</div>'
            text.append(f"```{{raw}} html\n{box}\n```\n")
        return "\n".join(text)


def claims(page: str) -> list[str]:
    """A page without what differs from machine to machine: the last column."""
    return [line.rpartition("<td")[0] or line for line in page.splitlines()]


@pytest.fixture(scope="module")
def station():
    return Stations()


@pytest.fixture
def x():
    return example.tokens()


@pytest.fixture
def q_k_v(x):
    return [x @ w for w in example.weights()]


def test_single_head(station, x, q_k_v):
    ledger = station("Single-head attention", "attention")
    q, k, v = q_k_v
    w_q, _, _ = example.weights()
    by_hand = torch.tensor([[float(row @ column) for column in w_q.T] for row in x])
    ledger.exact("a product for each row and column", by_hand, "X @ W_q", q)
    rows = []
    for query in q:
        powers = [math.exp(float(query @ key) / math.sqrt(3)) for key in k]
        rows.append(
            sum(p / sum(powers) * value for p, value in zip(powers, v, strict=True))
        )
    ours = scaled_dot_product_attention(q, k, v)
    ledger.close(
        "exp and sums in loops",
        torch.stack(rows),
        "scaled_dot_product_attention",
        ours,
        within=1e-5,
    )
    ledger.close(
        "scaled_dot_product_attention",
        ours,
        "torch",
        F.scaled_dot_product_attention(q, k, v),
    )


def test_heads(station, x, q_k_v):
    ledger = station("Many heads", "heads")
    both = [
        torch.cat((one, two), dim=-1)
        for one, two in zip(example.weights(), example.second_head(), strict=True)
    ]
    q, k, v = (x @ w for w in both)
    heads = [split_heads(each, 2) for each in (q, k, v)]
    output = scaled_dot_product_attention(*heads)
    ledger.close(  # a product of another width may sum in another order
        "head 0",
        output[0],
        "the single head above",
        scaled_dot_product_attention(*q_k_v),
    )
    ledger.exact("merge_heads(split_heads(Q))", merge_heads(heads[0]), "Q", q)
    ledger.close(
        "all heads at once",
        merge_heads(output),
        "one after the other",
        torch.cat(
            [
                scaled_dot_product_attention(*(x.chunk(2, -1)[h] for x in (q, k, v)))
                for h in (0, 1)
            ],
            dim=-1,
        ),
    )
    theirs = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    ours = MultiHeadAttention(8, 2)
    for name, weight in zip("qkv", theirs.in_proj_weight.chunk(3), strict=True):
        getattr(ours, f"{name}_proj").weight.data = weight
    ours.o_proj.weight.data = theirs.out_proj.weight
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        ledger.close(
            "MultiHeadAttention",
            ours(x),
            "torch.nn.MultiheadAttention",
            theirs(x, x, x)[0],
        )


def test_masks(station, q_k_v):
    ledger = station("The causal mask", "mask")
    q, k, v = q_k_v
    ours = scaled_dot_product_attention(q, k, v, causal_mask(2))
    ledger.exact(
        "row 0 under the mask",
        ours[:1],
        "token 0 alone",
        scaled_dot_product_attention(q[:1], k[:1], v[:1]),
    )
    ledger.exact(
        "row 1 under the mask",
        ours[1:],
        "the single head, unmasked",
        scaled_dot_product_attention(q, k, v)[1:],
    )
    additive = torch.zeros(2, 2).masked_fill(~causal_mask(2), -math.inf)
    ledger.exact(
        "bool mask",
        ours,
        "0 and -inf, added",
        scaled_dot_product_attention(q, k, v, additive),
    )
    ledger.close(
        "bool mask",
        ours,
        "torch, is_causal=True",
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
    )


def test_broadcasting(station):
    ledger = station("torch.matmul", "matmul")
    a, b = torch.randn(6, 1, 2, 3), torch.randn(5, 3, 4)
    loops = torch.stack(
        [torch.stack([a[j, 0] @ b[i] for i in range(5)]) for j in range(6)]
    )
    ledger.close("a @ b, broadcast", a @ b, "a[j, 0] @ b[k] in loops", loops)


def test_norm_and_swiglu(station, x):
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    ledger = station("RMSNorm and SwiGLU", "norm_swiglu")
    layer = example.decoder_layer()
    normed = layer.input_layernorm(x)
    by_hand = x / (x.pow(2).sum(-1, keepdim=True) / 4).sqrt()
    ledger.close(
        "X / root mean square", by_hand, "LlamaRMSNorm(X)", normed, within=1e-5
    )
    ledger.close(
        "LlamaRMSNorm(X)",
        normed,
        "F.rms_norm",
        F.rms_norm(x, (4,), layer.input_layernorm.weight, 1e-6),
    )
    x, weight = torch.randn(64, 576).bfloat16(), torch.randn(576).bfloat16()
    theirs = LlamaRMSNorm(576)
    theirs.weight.data = weight
    ledger.exact(
        "rms_norm", rms_norm(x, weight, 1e-6), "Hugging Face", theirs(x).detach()
    )
    gate, up = layer.mlp.gate_proj(normed), layer.mlp.up_proj(normed)
    ledger.close(
        "silu(gate) · up",
        swiglu(gate, up),
        "gate · sigmoid(gate) · up",
        gate * gate.sigmoid() * up,
    )


def test_rope(station, x):
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama

    ledger = station("RoPE", "rope")
    layer = example.decoder_layer()
    query = split_heads(layer.self_attn.q_proj(layer.input_layernorm(x[None])), 2)
    cos, sin = rope_cos_sin(torch.arange(2)[None], 2, 10000.0)
    turned = apply_rope(query, cos, sin)
    ledger.exact(
        "the query at position 0, turned", turned[:, :, 0], "the query", query[:, :, 0]
    )
    x, y = query[0, 0, 1].tolist()
    by_hand = torch.tensor(
        [x * math.cos(1) - y * math.sin(1), x * math.sin(1) + y * math.cos(1)]
    )
    ledger.close(
        "the query at position 1, by hand", by_hand, "apply_rope", turned[0, 0, 1]
    )
    q = torch.randn(1, 2, 5, 8)
    order = half_from_interleaved(torch.arange(8.0)[:, None], 1)[:, 0].long()
    angles = rope_cos_sin(torch.arange(5)[None], 8, 10000.0)
    ledger.exact(
        "neighbors turned, then permuted",
        rope_interleaved(q, *angles)[..., order],
        "permuted, then halves turned",
        apply_rope(q[..., order], *angles),
    )
    near, far = (
        apply_rope(
            q.double(),
            *rope_cos_sin(torch.arange(at, at + 5)[None], 8, 10000.0, torch.float64),
        )
        for at in (0, 100)
    )
    ledger.close(
        "scores at positions 0 to 4 (angles in float32)",
        near @ near.mT,
        "scores at positions 100 to 104",
        far @ far.mT,
        within=1e-4,
    )
    for kind in ("default", "linear", "dynamic", "yarn", "llama3"):
        config = LlamaConfig(
            hidden_size=256,
            num_attention_heads=4,
            max_position_embeddings=256,
            rope_parameters={
                "rope_type": kind,
                "rope_theta": 10000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 256,
            },
        )
        hidden_states, position_ids = torch.zeros(1, 1, 256), torch.arange(1024)[None]
        ledger.close(
            f"cos, {kind}",
            LlamaRotaryEmbedding(config)(hidden_states, position_ids)[0],
            "Hugging Face",
            modeling_llama.LlamaRotaryEmbedding(config)(hidden_states, position_ids)[0],
            within=1e-4,
        )


def test_gqa(station):
    ledger = station("Grouped-query attention", "gqa")
    query, (key, value) = torch.randn(1, 8, 5, 4), torch.randn(2, 1, 2, 5, 4)
    repeated = scaled_dot_product_attention(
        query, repeat_kv(key, 4), repeat_kv(value, 4)
    )
    ours = scaled_dot_product_attention(query, key, value, enable_gqa=True)
    ledger.exact("repeat_kv, then attention", repeated, "enable_gqa=True", ours)
    ledger.close(
        "enable_gqa=True",
        ours,
        "torch, enable_gqa=True",
        F.scaled_dot_product_attention(query, key, value, enable_gqa=True),
    )
    folded = scaled_dot_product_attention(query.reshape(1, 2, 20, 4), key, value)
    ledger.close(
        "enable_gqa=True",
        ours,
        "groups folded into the rows",
        folded.reshape(1, 8, 5, 4),
    )


def test_decoder_layer(station, x):
    from transformers import LlamaConfig
    from transformers.models.llama import modeling_llama

    ledger = station("The decoder layer", "decoder_layer")
    layer, x = example.decoder_layer(), x[None]
    normed = layer.input_layernorm(x)
    attention = layer.self_attn
    q, k, v = (
        split_heads(proj(normed), heads)
        for proj, heads in (
            (attention.q_proj, 2),
            (attention.k_proj, 1),
            (attention.v_proj, 1),
        )
    )
    angles = rope_cos_sin(torch.arange(2)[None], 2, 10000.0)
    q, k = apply_rope(q, *angles), apply_rope(k, *angles)
    attended = scaled_dot_product_attention(
        q, repeat_kv(k, 2), repeat_kv(v, 2), causal_mask(2)
    )
    x1 = x + attention.o_proj(merge_heads(attended))
    normed = layer.post_attention_layernorm(x1)
    gate, up = layer.mlp.gate_proj(normed), layer.mlp.up_proj(normed)
    parts = x1 + layer.mlp.down_proj(swiglu(gate, up))
    ledger.exact(
        "the parts of the chapters before, joined",
        parts,
        "LlamaDecoderLayer(X)",
        layer(x),
    )
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=8,
        num_key_value_heads=2,
        attn_implementation="eager",
    )
    for dtype in (torch.float32, torch.bfloat16):
        made = modeling_llama.LlamaDecoderLayer(config, 0).to(dtype).eval()
        ours = LlamaDecoderLayer(config, 0).to(dtype).eval()
        ours.load_state_dict(made.state_dict())
        hidden = torch.randn(2, 9, 64).to(dtype)
        angles = ours.rotary_emb(hidden, torch.arange(9)[None])
        mask = torch.zeros(9, 9, dtype=dtype).masked_fill(
            ~causal_mask(9), torch.finfo(dtype).min
        )
        with torch.no_grad():
            theirs = made(hidden, mask[None, None], position_embeddings=angles)
            ledger.exact(
                "LlamaDecoderLayer",
                ours(hidden, position_embeddings=angles),
                "Hugging Face, eager",
                theirs,
            )


def test_cache(station, x):
    ledger = station("The KV cache", "kv_cache")
    layer, cache = example.decoder_layer(), KVCache(example.layer_config(), 1, 16)
    whole = layer(x[None])
    rows = []
    for token in x:
        rows.append(layer(token[None, None], past_key_values=cache))
    ledger.close("X, a token at a time", torch.cat(rows, dim=1), "X at once", whole)
    model = example.model().double()
    ids = torch.randint(8, (2, 12))
    for chunks in ([12], [5, 4, 3], [1] * 12):
        cache = KVCache(model.config, 2, 12, dtype=torch.float64)
        pieces = [
            model(chunk, past_key_values=cache) for chunk in ids.split(chunks, dim=1)
        ]
        ledger.close(
            f"logits in {len(chunks)} chunk{'s' * (len(chunks) > 1)}",
            torch.cat(pieces, dim=1),
            "without a cache",
            model(ids),
            within=1e-12,
        )


def test_model(station, x, hf_llama, as_ours):
    ledger = station("The whole model", "real_llama")
    model, ids = example.model(), torch.tensor([[0, 1]])
    embedded = model.model.embed_tokens(ids)
    ledger.exact("embedding of “the cat”", embedded, "X", x[None])
    hidden = model.model.layers[0](embedded)
    ledger.exact(
        "after the layer, in the model",
        hidden,
        "LlamaDecoderLayer(X)",
        example.decoder_layer()(x[None]),
    )
    logits = model.model.norm(hidden) @ model.model.embed_tokens.weight.T
    ledger.close(
        "norm(hidden_states) @ embeddingᵀ",
        logits,
        "LlamaForCausalLM(ids)",
        model(ids),
        within=1e-5,
    )
    theirs = hf_llama()
    ids = torch.randint(97, (2, 64))
    ledger.close(
        "logits, random Llama",
        as_ours(theirs)(ids),
        "Hugging Face",
        theirs(ids).logits,
        within=1e-4,
    )
    ours = as_ours(theirs).double()
    mask = (torch.arange(8) >= torch.tensor([[0], [3]])).long()
    batch = generate(ours, ids[:, :8], 16, attention_mask=mask)
    alone = generate(ours, ids[1:, 3:8], 16)
    ledger.exact(
        "a left-padded row of a batch", batch[1:, 3:], "the same prompt alone", alone
    )
    positions = position_ids_from_mask(mask)
    ledger.exact(
        "its position ids",
        positions[1, 3:],
        "those of the prompt alone",
        torch.arange(5),
    )


def test_real_weights(station, bundled, hf_smollm2):
    ledger = station("Real weights", "real_llama")
    (model, tokenizer), theirs = bundled, hf_smollm2
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    with torch.inference_mode():
        ledger.close(
            "SmolLM2, logits",
            model(ids),
            "Hugging Face",
            theirs(ids).logits,
            within=1e-3,
        )
        written = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
    ledger.exact(
        "SmolLM2, 24 greedy tokens", generate(model, ids, 24), "Hugging Face", written
    )


def test_files(station, tmp_path):
    ledger = station("Files", "real_llama")
    made = tiny.model(head_dim=8)
    directory = tmp_path / "shards"
    directory.mkdir()
    tiny_files.write_directory(directory, made, shards=3)
    file = tiny_files.write_gguf(tmp_path / "made.gguf", made.config, made.state_dict())
    ids = tiny.ids(2, 9)
    from_shards, _ = load(directory, device="cpu")
    from_gguf, _ = load(file, device="cpu")
    logits = made(ids)
    ledger.exact("logits, from three safetensors", from_shards(ids), "as made", logits)
    ledger.exact(
        "logits, from a GGUF (q and k stored permuted)",
        from_gguf(ids),
        "as made",
        logits,
    )


def test_drop_in(station, hf_llama):
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    ledger = station("Our layer and our attention inside Hugging Face", "drop_in")
    theirs = hf_llama("eager")
    ids, mask = torch.randint(97, (2, 24)), torch.ones(2, 24, dtype=torch.long)
    mask[1, :7] = 0
    expected = theirs(ids, attention_mask=mask).logits[mask.bool()]
    AttentionInterface.register("companion", attention_interface)
    AttentionMaskInterface.register("companion", sdpa_mask)
    theirs.set_attn_implementation("companion")
    attended = theirs(ids, attention_mask=mask).logits[mask.bool()]
    ledger.close(
        "their model, our attention", attended, "their model", expected, within=1e-4
    )
    theirs.set_attn_implementation("eager")
    ledger.close(
        "their model, our layers",
        with_our_layers(theirs)(ids, attention_mask=mask).logits[mask.bool()],
        "their model",
        expected,
        within=1e-4,
    )
    ours = from_hugging_face(theirs)
    plain = ours(ids, mask)[mask.bool()]
    theirs.set_attn_implementation("sdpa")
    ours.model.layers = theirs.model.layers
    ledger.close(
        "our model, their layers",
        ours(ids, mask)[mask.bool()],
        "our model",
        plain,
        within=1e-4,
    )


def test_online_softmax(station, q_k_v):
    ledger = station("Online softmax and tiling", "online_softmax")
    expected = scaled_dot_product_attention(*q_k_v)
    one_by_one = fast.tiled(*q_k_v, q_block=1, kv_block=1)
    ledger.close("a key at a time", one_by_one, "a whole row", expected)
    blocks = fast.blocks(*q_k_v, q_block=1)
    ledger.close("a query at a time", blocks, "both queries", expected)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux alone")
def test_gpu_path(station, q_k_v):
    """The kernel's own lines, in the interpreter, in another process."""
    ledger = station("The GPU path", "gpu")
    expected = scaled_dot_product_attention(*q_k_v)
    four_axes = [x[None, None] for x in q_k_v]
    run = partial(program_steps, kernels.attention, *four_axes)
    *_, acc = (step.value for step in run(functions=KERNEL) if step.name == "acc")
    ledger.close("the kernel", acc[:2, :3], "plain attention", expected, within=1e-5)
    *_, acc = (
        step.value
        for step in run(functions=KERNEL, is_causal=True)
        if step.name == "acc"
    )
    ledger.close(
        "the kernel, causal, the last token",
        acc[1:2, :3],
        "all keys",
        expected[1:],
        within=1e-5,
    )


def test_more_than_one_device(station, x):
    ledger = station("More than one device", "parallel")
    attention = example.attention()
    ranks = parallel.run(attention_parts, 2, attention, x)
    head = [found["q_proj"] for found in ranks]
    for rank, (w_q, _, _) in enumerate((example.weights(), example.second_head())):
        ledger.exact(f"Q of rank {rank}", head[rank], f"Q of head {rank}", x @ w_q)
    partial_sums = ranks[0]["o_proj"] + ranks[1]["o_proj"]
    whole = attention(x)
    ledger.close("the partial sums, added", partial_sums, "one process", whole)
    ledger.exact(
        "output of rank 0", ranks[0]["output"], "of rank 1", ranks[1]["output"]
    )
    ledger.close("output of both", ranks[0]["output"], "one process", whole)


def test_encoder_decoder(station, x):
    ledger = station("The 2017 encoder-decoder", "encoder_decoder")
    source, target = torch.randn(2, 7, 8), torch.randn(2, 5, 8)
    options = {"dropout": 0.0, "batch_first": True}
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, **options).eval()
    ours = TransformerEncoderLayer(8, 2, 16)
    ours.load_state_dict(weights_from_torch(theirs.state_dict()))
    with torch.no_grad():
        memory = theirs(source)
        ledger.close(
            "TransformerEncoderLayer", ours(source), "torch's", memory, within=1e-5
        )
    theirs = torch.nn.TransformerDecoderLayer(8, 2, 16, **options).eval()
    ours = TransformerDecoderLayer(8, 2, 16)
    ours.load_state_dict(weights_from_torch(theirs.state_dict()))
    with torch.no_grad():
        ledger.close(
            "TransformerDecoderLayer",
            ours(target, memory),
            "torch's, tgt_mask causal",
            theirs(target, memory, tgt_mask=~causal_mask(5)),
            within=1e-5,
        )


def test_page(station):
    page = station.page()
    if os.environ.get("WRITE_LEDGER"):
        whole.write(PAGE, page)
    written = PAGE.read_text(encoding="utf-8")
    assert claims(written) == claims(page), "run `make ledger` and commit the page"
