import pytest
import tiny
import tiny_files
import vocabularies
from refusal import said

from companion import Chat, Tokenizer
from companion.tokenizers.chat_template import render_chat

USER = [{"role": "user", "content": "Hi"}]


def tokenizer(template="{% for m in messages %}{{ m.content }}{% endfor %}"):
    made = Tokenizer.from_gguf(tiny_files.gguf_metadata(tiny.config()))
    made.chat_template = template
    return made


# ---- the template


@pytest.mark.parametrize(
    ("template", "quotes"),
    [
        ("{{ raise_exception('roles must alternate') }}", ("roles must alternate",)),
        ("{% for m in %}", ("not valid Jinja", "line 1")),
        ("{{ messages[0].name.first }}", ("refuses", "has no attribute 'name'")),
        ("{{ 1 / 0 }}", ("fails", "ZeroDivisionError")),
        ("{{ messages + 1 }}", ("fails", "TypeError")),
        ("{{ messages.append(1) }}", ("refuses", "'append'", "unsafe")),
        ("{{ ().__class__.__mro__ }}", ("refuses", "unsafe")),
        ("{% include '/etc/passwd' %}", ("no loader",)),
        (
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
            ("fails", "RecursionError"),
        ),
        ("{{ '\\ud800'.encode() }}", ("fails", "UnicodeEncodeError")),
        ("{{ 'a'.encode('no such') }}", ("fails", "LookupError")),
        ("{{ strftime_now('\\0') ~ [].index(1) }}", ("fails", "ValueError")),
        ("{{ 'a' * 2**62 }}", ("fails", "MemoryError")),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", ("fails", "RecursionError")),
    ],
)
def test_template_that_refuses_or_is_broken(template, quotes):
    with pytest.raises(ValueError, match=said("chat template", *quotes)):
        render_chat(template, USER)
    with pytest.raises(ValueError, match=said("chat template", *quotes)):
        tokenizer(template).apply_chat_template(USER)


@pytest.mark.parametrize(
    "messages", ["Hi", ["Hi"], [{"content": "Hi"}], USER[0], []], ids=str
)
def test_messages_that_are_none(messages):
    with pytest.raises(ValueError, match=said("messages is", '{"role": "user"')):
        render_chat("", messages)


def test_messages_with_an_object_in_them():
    with pytest.raises(ValueError, match=said("text, numbers, lists and dicts")):
        render_chat("", [{"role": "user", "content": object()}])


def test_messages_that_hold_themselves():
    message = {"role": "user"}
    message["content"] = message
    with pytest.raises(ValueError, match=said("messages hold", "lists and dicts")):
        render_chat("", [message])


def test_checkpoint_without_a_template():
    without = Tokenizer.from_gguf(vocabularies.sentencepiece())
    quotes = said("no chat template", "chat_template.jinja", "tokenizer_config.json")
    with pytest.raises(ValueError, match=quotes):
        without.apply_chat_template(USER)
    with pytest.raises(ValueError, match=said("no chat template", "generate")):
        Chat(tiny.model(), without)


def test_templates_of_which_none_is_the_default():
    several = tokenizer({"rag": "x", "tool_use": "y"})
    quotes = ("'rag', 'tool_use'", "tokenizer.chat_template['rag']")
    with pytest.raises(ValueError, match=said(*quotes)):
        several.apply_chat_template(USER)
    with pytest.raises(ValueError, match=said(*quotes)):
        Chat(tiny.model(), several).send("Hi")
    several.chat_template = several.chat_template["rag"]  # the remedy that is named
    assert several.decode(several.apply_chat_template(USER)) == "x"


def test_message_that_is_no_unicode():
    with pytest.raises(ValueError, match=said("byte 0xE9", "Latin-1")):
        Chat(tiny.model(), tokenizer()).send("caf\udce9")


# ---- the chat


@pytest.mark.parametrize(
    ("options", "quotes"),
    [
        ({"temperature": -1.0}, ("temperature is -1.0",)),
        ({"top_k": 5}, ("temperature is 0", "top_k")),
        ({"temperature": 1.0, "top_p": 2.0}, ("top_p is 2.0",)),
        ({"seed": "a"}, ("seed is 'a'", "integer")),
        ({"seed": 2**64}, (f"seed is {2**64}", "2**64 - 1")),
        ({"max_new_tokens": 0}, ("max_new_tokens is 0", "1 or more")),
        ({"max_new_tokens": 2.5}, ("max_new_tokens is 2.5", "integer")),
    ],
    ids=str,
)
def test_options_out_of_range(options, quotes):
    with pytest.raises(ValueError, match=said(*quotes)):
        Chat(tiny.model(), tokenizer(), **options)


def test_no_model_or_tokenizer():
    with pytest.raises(ValueError, match=said("tokenizer is None", "tokenizer.json")):
        Chat(tiny.model(), None)
    with pytest.raises(
        ValueError, match=said("NoneType", "companion.LlamaForCausalLM")
    ):
        Chat(None, tokenizer())


@pytest.mark.parametrize("seed", [-(2**63), -1, 2**64 - 1])
def test_first_and_last_seed(seed):
    chat = Chat(tiny.model(), tokenizer(), max_new_tokens=2, temperature=1.0, seed=seed)
    chat.send("he")
    chat.send("the")
    assert len(chat.messages) == 4


def test_conversation_longer_than_the_model():
    chat = Chat(tiny.model(), tokenizer(), max_new_tokens=4)
    chat.send("he")
    before = [dict(message) for message in chat.messages]
    with pytest.raises(ValueError, match=said("128", "positions", "reset()")):
        chat.stream("a" * 128)
    assert chat.messages == before
    assert chat.send("the")


def test_template_that_refuses_leaves_the_chat_as_it_was():
    refusing = tokenizer(
        "{% for m in messages %}{% if m.content == 'no' %}"
        "{{ raise_exception('not that') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    chat = Chat(tiny.model(), refusing, max_new_tokens=4)
    with pytest.raises(ValueError, match=said("not that")):
        chat.send("no")
    assert chat.messages == []
    assert chat.send("the")
