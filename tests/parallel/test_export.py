"""A directory that this package, Hugging Face's library and others load."""

import json
import sys

import pytest
import tiny
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from companion import (
    DynamicNTKScaling,
    FrequencyFactors,
    LinearScaling,
    Llama3Scaling,
    LlamaConfig,
    YarnScaling,
    load,
)
from companion.fast import int8
from companion.parallel import export, split_model

SCALINGS = [
    None,
    LinearScaling(2.0),
    DynamicNTKScaling(2.0, 128),
    YarnScaling(4.0, 64, truncate=False),
    YarnScaling(4.0, 64, beta_fast=16.0, attention_factor=1.5),
    Llama3Scaling(8.0, 1.0, 4.0, 64),
]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_comes_back_bit_for_bit(tmp_path, tied, dtype):
    model = tiny.model(dtype, attention_bias=True, tie_word_embeddings=tied)
    directory = export(model, tmp_path / "deep" / "model")
    files = sorted(path.name for path in directory.iterdir())
    assert files == ["config.json", "model.safetensors"]
    assert list(directory.parent.iterdir()) == [directory]
    assert len({path.stat().st_mode for path in directory.iterdir()}) == 1

    ours, tokenizer = load(directory, dtype, "cpu")
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype="auto")
    assert (ours.config, tokenizer, theirs.dtype) == (model.config, None, dtype)
    found = dict(theirs.named_parameters())
    for name, x in model.named_parameters():
        assert torch.equal(ours.get_parameter(name), x), name
        assert torch.equal(found.pop(name), x), name
    assert not found


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_scaled_rope_is_understood(tmp_path, scaling):
    model = tiny.model(rope_theta=5e5, rope_scaling=scaling)
    directory = export(model, tmp_path / "model")
    assert load(directory, device="cpu")[0].config == model.config
    theirs = AutoModelForCausalLM.from_pretrained(directory)
    assert LlamaConfig.from_hf(theirs.config.to_dict()) == model.config
    ids = tiny.ids(1, 100)
    difference = (theirs(ids).logits - model(ids)).abs().max()
    assert difference < 1e-3


def test_their_tokens_stop_nothing(tmp_path):
    config = AutoConfig.from_pretrained(export(tiny.model(), tmp_path / "model"))
    assert (config.bos_token_id, config.eos_token_id) == (None, None)


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    directory = export(tiny.model(), str(tmp_path / "model"))
    assert json.loads((directory / "config.json").read_text())["hidden_size"] == 16


def test_what_is_there_is_not_touched(tmp_path):
    for name in ("file", "directory/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("kept")
    for name in ("file", "directory"):
        with pytest.raises(ValueError, match=f"{name} is there already"):
            export(tiny.model(), tmp_path / name)
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "directory" / "file").read_text() == "kept"


def test_nothing_is_left_of_an_export_that_fails(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("no space left on device")

    module = sys.modules["companion.parallel.export"]  # the package's is the function
    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        export(tiny.model(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "scaling", [FrequencyFactors((1.0, 2.0)), DynamicNTKScaling(2.0, 64)], ids=str
)
def test_rope_that_a_config_json_cannot_say(tmp_path, scaling):
    with pytest.raises(ValueError, match=type(scaling).__name__):
        export(tiny.model(rope_scaling=scaling), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_models_that_are_not_as_they_were_loaded(tmp_path, fake):
    model = tiny.model(vocab_size=264)
    with pytest.raises(ValueError, match="Int8Linear"):
        export(int8(model), tmp_path / "model")
    with fake(0, 2) as mesh, pytest.raises(ValueError, match="split over 2 ranks"):
        export(split_model(model, mesh), tmp_path / "model")
    with pytest.raises(ValueError, match="LlamaForCausalLM"):
        export(model.model, tmp_path / "model")
