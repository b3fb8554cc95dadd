import pytest
import tiny
import torch

from companion import generate, load
from companion.__main__ import main


@pytest.fixture
def checkpoint(tmp_path):
    model = tiny.model()
    return tiny.write_gguf(tmp_path / "tiny.gguf", model.config, model.state_dict())


def written(checkpoint, prompt, count, dtype=torch.float32, **options):
    """The prompt and what `generate` writes after it."""
    model, tokenizer = load(checkpoint, dtype)
    ids = torch.tensor([tokenizer.encode(prompt)])
    output = generate(model, ids, count, stop_tokens=tokenizer.stop_ids, **options)[0, ids.shape[1] :].tolist()
    return prompt + tokenizer.decode(i for i in output if i not in tokenizer.stop_ids) + "\n"


def test_prints_the_prompt_and_what_follows(checkpoint, capsys):
    assert main(["the cat", "--max-new-tokens", "12", "--model", str(checkpoint)]) == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 12)


def test_temperature_and_seed(checkpoint, capsys):
    arguments = ["the cat", "--max-new-tokens", "12", "--temperature", "1.5", "--seed", "7", "--model", str(checkpoint)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == written(checkpoint, "the cat", 12, temperature=1.5, seed=7)


def test_dtype_and_device(checkpoint, capsys, device):
    arguments = ["the", "--max-new-tokens", "5", "--dtype", "bfloat16", "--device", device, "--model", str(checkpoint)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == written(checkpoint, "the", 5, torch.bfloat16)


def test_no_new_tokens_print_the_prompt_alone(checkpoint, capsys):
    assert main(["the cat", "--max-new-tokens", "0", "--model", str(checkpoint)]) == 0
    assert capsys.readouterr().out == "the cat\n"


def test_stops_at_the_end_of_text_token_and_does_not_print_it(checkpoint, tmp_path, capsys):
    model, tokenizer = load(checkpoint)
    third = generate(model, torch.tensor([tokenizer.encode("the cat")]), 3)[0, -1].item()
    metadata = {"tokenizer.ggml.eos_token_id": third}
    ending = tiny.write_gguf(tmp_path / "ending.gguf", model.config, model.state_dict(), metadata=metadata)
    assert main(["the cat", "--max-new-tokens", "50", "--model", str(ending)]) == 0
    printed = capsys.readouterr().out
    assert printed == written(ending, "the cat", 50)
    assert len(printed) < len(written(checkpoint, "the cat", 50))


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for option in ("prompt", "--max-new-tokens", "--temperature", "--seed", "--model", "--dtype", "--device"):
        assert option in text
