"""Memory that does not grow, and what grows by a little each time and is found."""

import contextlib

import endurance
import pytest
import torch
from endurance import calls, chats, growth, judge, pace, text, watched

from companion import Chat, KVCache, generate
from companion.fast import compile_decode
from companion.generate import decode
from companion.tokenizers import Tokenizer

TURNS = 60


@pytest.fixture(scope="module")
def model():
    return endurance.small_model()


def seen(run, turns=TURNS):
    """What `watched` found of a short run, and what it says against it."""
    case = watched(run, turns, turns // 4, samples=5)
    return case, judge("a run", case)


@pytest.mark.parametrize("backend", ["plain", "aot_eager"])
@pytest.mark.parametrize("run", [lambda *a: text(a[0], 1, *a[1:]), calls])
def test_memory_is_flat(model, run, backend):
    step = decode if backend == "plain" else compile_decode(model, backend)
    case, failures = seen(run(model, TURNS, step))
    assert failures == []
    assert case["turns"] == TURNS
    assert [sample["turns"] for sample in case["samples"]] == [15, 24, 33, 42, 51, 60]


def test_a_prompt_before_the_text(model):
    assert sum(len(token) for token in text(model, 600, 3)) == 3


def test_logits_that_are_kept_are_found(model):
    kept = []

    def keeps(*given):
        kept.append(decode(*given))
        return kept[-1]

    case, [failure] = seen(text(model, 1, TURNS, keeps))
    assert "tensors grew by" in failure
    assert growth(case)["tensors_per_turn"] == 1.0


def test_caches_that_are_kept_are_found(model):
    kept = []

    def run():
        for _ in range(TURNS):
            kept.append(KVCache(model.config, 1, 200))
            prompt = torch.ones(1, 3, dtype=torch.long)
            yield generate(model, prompt, 1, past_key_values=kept[-1])

    case, failures = seen(run())
    assert len(failures) == 2  # their number, and their bytes
    assert growth(case)["tensors_per_turn"] == 2.0
    assert growth(case)["tensor_bytes_per_turn"] == kept[0].nbytes


def test_memory_that_no_tensor_has_is_found():
    kept = []

    def run():
        for _ in range(TURNS):
            kept.append(b"x" * 2**20)
            yield

    _, [failure] = seen(run())
    assert failure.startswith("a run: rss grew by")


def test_chats_are_flat_and_some_are_left_in_the_middle(model, monkeypatch):
    tokenizer = words()
    left, whole = [], Chat._tokens

    def noted(self, *given):
        with contextlib.suppress(GeneratorExit):
            yield from whole(self, *given)
            return
        left.append(True)

    monkeypatch.setattr(Chat, "_tokens", noted)
    make = lambda: Chat(model, tokenizer, max_new_tokens=3)  # noqa: E731
    _, failures = seen(chats(make, 40), 40)
    assert failures == []
    assert 20 < len(left) < 30  # a third of 80 answers


def words():
    """A tokenizer of as many words as the small model has tokens."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    size = endurance.SMALL.vocab_size
    backend = Backend(
        models.WordLevel({f"w{i}": i for i in range(size)}, unk_token="w0")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    return Tokenizer(backend, chat_template=template)


def test_the_pace_at_the_beginning_and_at_the_end():
    seconds = [9.0] * 10 + [0.001] * 10 + [9.0] * 70 + [0.003] * 10
    assert pace(seconds) == {"early_ms": 1.0, "late_ms": 3.0}
