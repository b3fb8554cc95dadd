import pytest
import tiny
import torch

from companion import generate, load
from companion.__main__ import main


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny.model()
    return tiny.write_gguf(tmp_path / "tiny.gguf", model.config, model.state_dict())


def run(checkpoint, *arguments):
    return main([*arguments, "--device", "cpu", "--model", str(checkpoint)])


def written(checkpoint, prompt, count, dtype=torch.float32, **options):
    """The prompt and what `generate` writes after it."""
    model, tokenizer = load(checkpoint, dtype, "cpu")
    stop = tokenizer.stop_ids
    ids = torch.tensor([tokenizer.encode(prompt)])
    output = generate(model, ids, count, stop_tokens=stop, **options)[0, ids.shape[1] :]
    return prompt + tokenizer.decode(i for i in output.tolist() if i not in stop) + "\n"


def test_prints_the_prompt_and_what_follows(checkpoint, capsys):
    assert run(checkpoint, "the cat", "--max-new-tokens", "12") == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 12)


def test_writes_64_tokens_unless_told(checkpoint, capsys):
    assert run(checkpoint, "the cat") == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 64)


def test_temperature_and_seed(checkpoint, capsys):
    sampling = ["--temperature", "1.5", "--seed", "7"]
    assert run(checkpoint, "the cat", "--max-new-tokens", "12", *sampling) == 0
    printed = capsys.readouterr().out
    assert printed == written(checkpoint, "the cat", 12, temperature=1.5, seed=7)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_dtype_and_device(checkpoint, capsys, monkeypatch, name, device):
    models = []

    def loaded(*arguments):
        models.append(load(*arguments))
        return models[0]

    monkeypatch.setattr("companion.__main__.load", loaded)
    options = ["--max-new-tokens", "5", "--dtype", name, "--device", device]
    assert main(["the", *options, "--model", str(checkpoint)]) == 0
    assert models[0][0].dtype == getattr(torch, name)
    assert models[0][0].device.type == device
    if device == "cpu":
        assert capsys.readouterr().out == written(
            checkpoint, "the", 5, models[0][0].dtype
        )


def test_no_new_tokens_print_the_prompt_alone(checkpoint, capsys):
    assert run(checkpoint, "the cat", "--max-new-tokens", "0") == 0
    assert capsys.readouterr().out == "the cat\n"


def test_stops_at_the_end_of_text_token_and_does_not_print_it(
    checkpoint, tmp_path, capsys
):
    model, tokenizer = load(checkpoint, device="cpu")
    third = generate(model, torch.tensor([tokenizer.encode("the cat")]), 3)[
        0, -1
    ].item()
    ending = tiny.write_gguf(
        tmp_path / "ending.gguf",
        model.config,
        model.state_dict(),
        metadata={"tokenizer.ggml.eos_token_id": third},
    )
    assert run(ending, "the cat", "--max-new-tokens", "50") == 0
    printed = capsys.readouterr().out
    assert printed == written(ending, "the cat", 50)
    assert len(printed) < len(written(checkpoint, "the cat", 50))


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for option in (
        "prompt",
        "max-new-tokens",
        "temperature",
        "seed",
        "model",
        "dtype",
        "device",
    ):
        assert option in text
