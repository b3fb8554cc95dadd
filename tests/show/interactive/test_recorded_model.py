"""The X-ray of a model records what an independent run of the model makes."""

import base64
import io
import json
import re
from pathlib import Path

import numpy
import pytest
import tiny
import torch
from PIL import Image

from companion import show
from companion.show.interactive.lens import visible
from companion.show.interactive.model_xray import cells
from companion.tokenizers import Tokenizer

PROMPT = "The capital of France is"
PAGE = Path(__file__).parents[3] / "book/intro.ipynb"


def hooked(model, ids):
    """What leaves the embedding, each layer and the last norm, by torch's own hooks."""
    outputs = []
    modules = [model.model.embed_tokens, *model.model.layers, model.model.norm]
    hooks = [
        m.register_forward_hook(lambda *call: outputs.append(call[2])) for m in modules
    ]
    with torch.inference_mode():
        logits = model(ids)
    for hook in hooks:
        hook.remove()
    return torch.cat(outputs), logits


@pytest.fixture(scope="module")
def xray(bundled):
    return show.model_xray(*bundled, PROMPT, "A model.")


@pytest.fixture(scope="module")
def hidden(bundled):
    model, tokenizer = bundled
    return hooked(model, torch.tensor([tokenizer.encode(PROMPT)]))


def picture(shown):
    address = re.search('data:image/png;base64,([^"]+)', shown)[1]
    return (
        numpy.asarray(Image.open(io.BytesIO(base64.b64decode(address)))).astype(int)
        - 128
    )


def test_the_picture_is_of_the_hidden_states(xray, hidden):
    states, _ = hidden
    shown = picture(xray.still.panels[0])
    assert shown.shape == (32, 5 * 72)
    assert abs(shown - cells(states).numpy()).max() <= 1
    for step, token, cell in ((0, 0, 0), (13, 0, 63), (17, 3, 40), (31, 4, 71)):
        size = states[step, token].pow(2).mean().sqrt()
        group = states[step, token, 8 * cell : 8 * cell + 8] / size
        value = group[group.abs().argmax()].clamp(-3, 3) / 3 * 127
        assert abs(shown[step, 72 * token + cell] - value) <= 1


def test_what_stands_out_is_what_is_there(xray, hidden):
    states, _ = hidden
    for step in (0, 3, 12, 13, 31):
        for token in range(5):
            size, most, place = xray.trace["peaks"][step][token]
            value = states[step, token]
            assert size == pytest.approx(value.pow(2).mean().sqrt().item(), rel=6e-3)
            assert abs(most) == pytest.approx(value.abs().max().item(), rel=6e-3)
            assert most == pytest.approx(value[int(place)].item(), rel=6e-3)


def test_the_words_are_those_of_the_head(xray, hidden, bundled):
    model, tokenizer = bundled
    states, logits = hidden
    with torch.inference_mode():
        early = model.logits(model.model.norm(states[10]))
    for step, right in ((31, logits[0]), (10, early)):
        for token in range(5):
            top = right[token].softmax(-1).topk(5)
            found = xray.trace["lens"][step][token]
            words = [xray.trace["words"][i] for i in found[::2]]
            assert words == [
                visible(tokenizer.decode([i])) for i in top.indices.tolist()
            ]
            assert found[1::2] == pytest.approx(top.values.mul(1000).tolist(), abs=0.51)


def test_costs_are_the_ledgers(xray, bundled):
    model, tokenizer = bundled
    ran = show.ledger(model, torch.tensor([tokenizer.encode(PROMPT)]))
    trace = xray.trace
    assert trace["names"][0] == "embedding"
    assert trace["names"][-3:] == ["layer 29", "norm", "head"]
    flops, read, _ = (sum(step[i] for step in trace["steps"]) for i in (1, 2, 3))
    assert flops == ran.total.flops
    assert 0 <= ran.total.bytes_read - read < 20_000  # positions and angles
    assert trace["codes"][0] == "hidden_states = self.embed_tokens(input_ids)"
    assert trace["shapes"][-1] == (1, 5, 49152)


def test_the_page_shows_what_a_fresh_call_makes(xray):
    """The picture is not compared by nbval: another processor rounds otherwise."""
    stored = "".join(
        "".join(output["data"]["text/html"])
        for cell in json.loads(PAGE.read_text())["cells"]
        for output in cell.get("outputs", [])
        if "<model-xray>" in "".join(output["data"].get("text/html", ""))
    )
    assert abs(picture(stored) - picture(xray.still.panels[0])).max() <= 1


def test_it_is_small(xray):
    assert len(xray.element().encode()) < 60_000


@pytest.mark.parametrize(
    ("count", "why"),
    [(0, "has 0 tokens"), (9, "has 9 tokens: the picture has room for 1 to 8")],
)
def test_what_there_is_no_room_for_is_refused(count, why):
    class Tokens(Tokenizer):
        def __init__(self):
            pass

        def encode(self, text):
            return [1] * count

    with pytest.raises(ValueError, match=why):
        show.model_xray(tiny.model(), Tokens(), "x" * 99, "Too much.")


@pytest.mark.parametrize("count", [1, 8])
def test_other_models_and_lengths(count):
    class Tokens(Tokenizer):
        def __init__(self):
            pass

        def encode(self, text):
            return list(range(count))

        def decode(self, ids):
            return f" {ids[0]}\n"

    shown = show.model_xray(tiny.model(), Tokens(), "x", "Small.")
    assert shown.trace["tokens"] == [f"␣{i}⏎" for i in range(count)]
    assert picture(shown.still.panels[0]).shape == (4, 16 * count)
    assert "Small." in shown._repr_html_()
