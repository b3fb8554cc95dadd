import json

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from companion.tokenizers.chat_template import render_chat

TEMPLATES = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "begins by itself": (
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] | upper }}] "
        "{{ m['content'] | trim }}{{ eos_token }}{% endfor %}"
    ),
    "blocks on lines of their own": """\
{%- set first = true %}
{% for m in messages %}
    {% if m.role == "system" %}
        {% continue %}
    {% endif %}
    {{ "+" if first else "-" }}{{ m.content }}
    {% if loop.index > 3 %}{% break %}{% endif %}
{% endfor %}
    end
""",
    "json": "{{ messages | tojson }} {{ messages[0] | tojson(indent=2, sort_keys=true) }}",
    "namespace": (
        "{% set n = namespace(count=0) %}{% for m in messages %}"
        "{% set n.count = n.count + m.content | length %}{% endfor %}{{ n.count }}"
    ),
    "generation": (
        "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}"
        "{% if tools is none and documents is none %}none{% endif %}"
    ),
    "reasoning": (
        "{% for m in messages %}{{ m.reasoning_content }}+{{ m.thinking }}+{{ m.name }}"
        "{{ 'name' in m }}{{ m.content }}{% endfor %}"
    ),
    "macro": (
        "{% macro turn(m) -%} {{ m.role }}: {{ m.content }}\n{%- endmacro %}"
        "{% for m in messages %}{{ turn(m) }}{% endfor %}{{ missing }}"
    ),
}
CONVERSATIONS = [
    [{"role": "user", "content": "Hi"}],
    [
        {"role": "system", "content": 'Be <brief> & "kind".'},
        {"role": "user", "content": " Hé\n\nthere "},
        {"role": "assistant", "content": "日本"},
        {"role": "user", "content": "{{ messages }}"},
    ],
    [
        {"role": "user", "content": "Hi", "name": None, "tools": [None, 1.5]},
        {"role": "assistant", "content": "A", "reasoning": "Well"},
        {"role": "assistant", "content": "A", "thinking": "Well", "reasoning": None},
        {"role": "assistant", "content": "A", "reasoning_content": "Well"},
    ],
]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "image_token": "<image>"}


def hugging_face(template, messages, add_generation_prompt):
    # what is None their apply_chat_template leaves out before this
    said = [{k: v for k, v in m.items() if v is not None} for m in messages]
    [text], _ = render_jinja_template(
        conversations=[said],
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        **TOKENS,
    )
    return text


@pytest.mark.parametrize("messages", CONVERSATIONS, ids=["one", "four", "reasoning"])
@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_equals_hugging_face(template, messages, add_generation_prompt):
    ours = render_chat(template, messages, add_generation_prompt, TOKENS)
    assert ours == hugging_face(template, messages, add_generation_prompt)


@pytest.mark.parametrize("messages", CONVERSATIONS, ids=["one", "four", "reasoning"])
@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_bundled_template_equals_hugging_face(
    bundled_tokenizer, messages, add_generation_prompt
):
    template = bundled_tokenizer.chat_template
    ids = bundled_tokenizer.apply_chat_template(messages, add_generation_prompt)
    text = hugging_face(template, messages, add_generation_prompt)
    assert bundled_tokenizer.decode(ids) == text
    assert ids == bundled_tokenizer.encode(text)


def test_bundled_template_as_it_reads(bundled_tokenizer):
    ids = bundled_tokenizer.apply_chat_template(CONVERSATIONS[0])
    assert bundled_tokenizer.decode(ids) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
        "Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_knows_the_date():
    text = render_chat("{{ strftime_now('%Y') }}", CONVERSATIONS[0])
    assert len(text) == 4
    assert text.startswith("20")


def test_messages_are_not_changed():
    messages = [{"role": "user", "content": "Hi", "parts": [1, 2]}]
    before = json.dumps(messages)
    render_chat("{{ messages[0].parts[0] }}", messages)
    assert json.dumps(messages) == before


def test_token_whose_name_is_taken():
    assert (
        render_chat(
            "{{ messages | length }}", CONVERSATIONS[0], True, {"messages": "x"}
        )
        == "1"
    )
