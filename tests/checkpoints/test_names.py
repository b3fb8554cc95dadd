"""Names as others write them: base models, and what wrapped a model before it was saved."""

import pytest
import tiny
import tiny_files
import torch

from companion import load
from companion.checkpoints.names import wrapper


def renamed(model, tmp_path, name, **changes):
    tensors = {name(key): x for key, x in model.state_dict().items() if name(key)}
    return tiny_files.write_directory(tmp_path, model, tensors=tensors, **changes)


def assert_loads(path, model):
    weights = load(path, device="cpu")[0].state_dict()
    assert weights.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        assert torch.equal(weights[name], weight), name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "before",
    [
        *(
            "",
            "module.",
            "_orig_mod.",
            "model.",
            "base_model.model.",
            "language_model.",
        ),
        *("module._orig_mod.", "_orig_mod.module.", "_fsdp_wrapped_module.model."),
    ],
)
def test_wrapped_model(tmp_path, before, tied):
    model = tiny.model(tie_word_embeddings=tied)
    assert_loads(renamed(model, tmp_path, lambda key: before + key), model)


@pytest.mark.parametrize("before", ["", "module.", "_orig_mod.", "llm."])
def test_base_model(tmp_path, before):
    model = tiny.model(tie_word_embeddings=True)
    path = renamed(model, tmp_path, lambda key: before + key.removeprefix("model."))
    assert_loads(path, model)


def test_base_model_beside_its_head(tmp_path):
    model = tiny.model()
    assert_loads(
        renamed(model, tmp_path, lambda key: key.removeprefix("model.")), model
    )


@pytest.mark.parametrize(
    ("part", "wrapped"),
    [
        ("model.layers", "model._orig_mod.layers"),
        ("self_attn.q_proj", "_fsdp_wrapped_module.self_attn.q_proj"),
        ("mlp", "_checkpoint_wrapped_module.mlp"),
        ("layers.1.", "layers.1._orig_mod."),
    ],
)
def test_wrapped_parts(tmp_path, part, wrapped):
    model = tiny.model()
    path = renamed(model, tmp_path, lambda key: key.replace(part, wrapped))
    assert_loads(path, model)


def test_frequencies_of_a_wrapped_model(tmp_path):
    model = tiny.model()
    tensors = {f"module.{key}": x for key, x in model.state_dict().items()}
    tensors["module.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    assert_loads(tiny_files.write_directory(tmp_path, model, tensors=tensors), model)


def test_two_names_of_one_tensor(tmp_path):
    model = tiny.model()
    doubled = {"_orig_mod.model.norm.weight": torch.ones(16)}
    tensors = {**model.state_dict(), **doubled}
    tiny_files.write_directory(tmp_path, model, tensors=tensors)
    with pytest.raises(ValueError, match="the same tensor") as caught:
        load(tmp_path, device="cpu")
    assert "model.norm.weight" in str(caught.value)
    assert "_orig_mod.model.norm.weight" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "before"),
    [
        (["model.embed_tokens.weight", "lm_head.weight"], ""),
        (["embed_tokens.weight", "norm.weight"], ""),
        (["a.model.embed_tokens.weight", "a.lm_head.weight"], "a."),
        (["a.model.embed_tokens.weight", "lm_head.weight"], ""),
        (["a.b.embed_tokens.weight", "a.b.norm.weight"], "a.b."),
        (["supermodel.embed_tokens.weight"], "supermodel."),
        (["a.embed_tokens.weight", "a.x.embed_tokens.weight"], ""),
        (["norm.weight"], ""),
    ],
    ids=str,
)
def test_what_stands_before_all_names(names, before):
    assert wrapper(names) == before
