import pytest
import tiny
import tiny_files
import torch

from companion import Chat, Tokenizer, generate

TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


def tokenizer(**changes):
    metadata = tiny_files.gguf_metadata(tiny.config())
    return Tokenizer.from_gguf(
        {**metadata, "tokenizer.chat_template": TEMPLATE, **changes}
    )


@pytest.fixture
def model():
    """A model that writes ASCII: whole characters, which come back from their text."""
    made = tiny.model(torch.float64)
    for i, token in enumerate(tiny_files.TOKENS):
        if not (token.isascii() and token.isprintable()):
            made.lm_head.weight[i] = 0
    return made


def prefills(model):
    """The lengths that the model is run on, as they come."""
    lengths = []
    model.model.register_forward_pre_hook(
        lambda _, args: lengths.append(args[0].shape[1])
    )
    return lengths


def fresh_answer(model, chat, count):
    """What the model answers to the messages before the last, without any cache."""
    tokens = chat.tokenizer
    ids = torch.tensor([tokens.apply_chat_template(chat.messages[:-1])])
    new = generate(model, ids, count, stop_tokens=tokens.stop_ids)[0, ids.shape[1] :]
    return tokens.decode(i for i in new.tolist() if i not in tokens.stop_ids)


def test_each_turn_is_what_a_run_over_the_whole_conversation_gives(model):
    chat = Chat(model, tokenizer(), system="be", max_new_tokens=9)
    for text in ("the cat", "he", "a dog"):
        answer = chat.send(text)
        assert chat.messages[-2] == {"role": "user", "content": text}
        assert chat.messages[-1] == {"role": "assistant", "content": answer}
        assert answer == fresh_answer(model, chat, 9)
    assert [message["role"] for message in chat.messages] == [
        "system", *["user", "assistant"] * 3,
    ]  # fmt: skip


def test_second_turn_runs_only_what_is_new(model):
    chat = Chat(model, tokenizer(), max_new_tokens=9)
    chat.send("the cat")
    held = chat.ids[: chat.cache.length]
    lengths = prefills(model)
    chat.send("he")
    ids = chat.tokenizer.apply_chat_template(chat.messages[:-1])
    same = next(
        (i for i, (x, y) in enumerate(zip(held, ids, strict=False)) if x != y),
        len(held),
    )
    assert lengths[0] == len(ids) - same
    # beyond the first prompt, into the first answer
    assert same > len(chat.tokenizer.apply_chat_template(chat.messages[:1])) + 3
    assert set(lengths[1:]) <= {1}


def test_cache_holds_what_ids_say(model):
    chat = Chat(model, tokenizer(), max_new_tokens=9)
    for text in ("the cat", "he"):
        chat.send(text)
        held = torch.tensor([chat.ids[: chat.cache.length]])
        fresh = tiny_cache(model, held)
        length = chat.cache.length
        torch.testing.assert_close(
            chat.cache.keys[..., :length, :], fresh.keys, atol=1e-12, rtol=0
        )


def tiny_cache(model, ids):
    from companion import KVCache

    cache = KVCache(model.config, 1, ids.shape[1], dtype=model.dtype)
    model(ids, past_key_values=cache)
    return cache


def test_stream_gives_the_answer_in_pieces(model):
    whole = Chat(model, tokenizer(), max_new_tokens=9).send("the cat")
    chat = Chat(model, tokenizer(), max_new_tokens=9)
    pieces = list(chat.stream("the cat"))
    assert "".join(pieces) == whole
    assert len(pieces) > 1


def test_answer_ends_before_the_stop_token(model):
    ids = torch.tensor([tokenizer().apply_chat_template([user("the cat")])])
    third = generate(model, ids, 3)[0, -1].item()
    ending = tokenizer(**{"tokenizer.ggml.eos_token_id": third})
    chat = Chat(model, ending, max_new_tokens=50)
    answer = chat.send("the cat")
    assert len(chat.ids) - ids.shape[1] <= 2
    assert (
        chat.ids[ids.shape[1] :] == generate(model, ids, 2)[0, ids.shape[1] :].tolist()
    )
    assert answer == ending.decode(chat.ids[ids.shape[1] :])


def user(text):
    return {"role": "user", "content": text}


# ---- interruptions


@pytest.mark.parametrize("leave", ["close", "break", "keep"])
def test_stream_left_in_the_middle_leaves_the_chat_usable(model, leave):
    chat = Chat(model, tokenizer(), max_new_tokens=20)
    stream = chat.stream("the cat")
    written = next(stream) + next(stream)
    if leave == "close":
        stream.close()
    elif leave == "break":
        del stream
    assert chat.messages == [
        user("the cat"),
        {"role": "assistant", "content": written},
    ]
    assert chat.send("he") == fresh_answer(model, chat, 20)
    assert len(chat.messages) == 4


@pytest.mark.parametrize("step", [1, 2, 5])
def test_ctrl_c_while_the_model_runs_leaves_the_chat_usable(model, step):
    chat = Chat(model, tokenizer(), max_new_tokens=20)
    chat.send("a")
    calls = []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == step:
            raise KeyboardInterrupt

    hook = model.model.layers[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        chat.send("the cat")
    hook.remove()
    assert len(chat.messages) == (2 if step == 1 else 4)
    assert chat.send("he") == fresh_answer(model, chat, 20)


def test_nothing_is_kept_of_a_stream_that_was_never_read(model):
    chat = Chat(model, tokenizer(), max_new_tokens=5)
    chat.stream("the cat")
    assert chat.messages == []
    assert chat.cache is None


@pytest.mark.parametrize("newer", ["stream", "reset"])
@pytest.mark.parametrize("read", [0, 2])
def test_newer_stream_or_reset_ends_an_older_one(model, newer, read):
    chat = Chat(model, tokenizer(), max_new_tokens=20)
    older = chat.stream("the cat")
    for _ in range(read):
        next(older)
    if newer == "reset":
        chat.reset()
        assert list(older) == []
        assert chat.messages == []
    else:
        pieces = chat.stream("he")
        answer = next(pieces)
        assert list(older) == []
        answer += "".join(pieces)
        assert chat.messages[-1]["content"] == answer == fresh_answer(model, chat, 20)


# ---- room


def test_cache_grows_up_to_the_models_positions(model):
    chat = Chat(model, tokenizer(), max_new_tokens=6)
    sizes = []
    for _ in range(6):
        assert chat.send("the cat") == fresh_answer(model, chat, 6)
        sizes.append(chat.cache.max_length)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 2
    assert sizes[-1] <= 128


def test_last_answer_takes_the_positions_that_are_left(model):
    chat = Chat(model, tokenizer(), max_new_tokens=500)
    chat.send("a" * 100)
    assert len(chat.ids) == 128
    assert chat.cache.length == chat.cache.max_length == 127


# ---- a new conversation, sampling


def test_reset_begins_anew(model):
    chat = Chat(model, tokenizer(), system="be", max_new_tokens=9)
    first = chat.send("the cat")
    chat.send("he")
    lengths = prefills(model)
    chat.reset()
    assert chat.messages == [{"role": "system", "content": "be"}]
    assert chat.send("the cat") == first
    assert lengths[0] == 1  # all but the last token of the prompt is cached


def test_seed_makes_a_conversation_repeatable(model):
    def talk(seed):
        sampling = {"temperature": 2.0, "top_k": 50, "top_p": 0.95, "seed": seed}
        chat = Chat(model, tokenizer(), max_new_tokens=15, **sampling)
        return [chat.send("the"), chat.send("the")]

    assert talk(1) == talk(1)
    assert talk(1) != talk(2)
