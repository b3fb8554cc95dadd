"""A conversation to the one text that the model reads: the checkpoint's own Jinja template."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

# What running a template can raise beside Jinja's own errors; ValueError is UnicodeError too.
FAILURES = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
)

Message = Mapping[str, Any]  # {"role": "user", "content": "Hello"}


def render_chat(
    template: str,
    messages: Sequence[Message],
    add_generation_prompt: bool = True,
    special_tokens: Mapping[str, str] | None = None,
) -> str:
    """The text that a chat template makes of messages, ready for the model's answer.

    `add_generation_prompt` ends it with the opening of that answer. A template comes
    with the weights and is not to be trusted: it runs in Jinja's sandbox and sees
    nothing but the messages, the special tokens (`bos_token`, ...) and the date.

    Raises: ValueError for messages that are none, and with the message of a template
    that refuses them or is broken.
    """
    copied = plain(messages)
    try:
        rendered: str = compiled(template).render(
            {
                **(special_tokens or {}),
                "messages": copied,
                "add_generation_prompt": add_generation_prompt,
                "tools": None,
                "documents": None,
            }
        )
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(
            f"the chat template is not valid Jinja: {error.message} (line {error.lineno})"
        ) from error
    except jinja2.TemplateError as error:
        raise ValueError(
            f"the chat template refuses these messages: {error}"
        ) from error
    except FAILURES as error:
        raise ValueError(
            f"the chat template fails on these messages: {type(error).__name__}: {error}"
        ) from error
    return rendered


def chosen(template: str | Mapping[str, str] | None) -> str:
    """The template for a conversation without tools: "default", where there are several.

    Raises: ValueError where there is none, or none of several is named so.
    """
    if template is None:
        raise ValueError(
            "the checkpoint has no chat template (tokenizer.chat_template in a GGUF, "
            "chat_template.jinja or tokenizer_config.json in a directory): write the "
            "prompt yourself and encode it, or set tokenizer.chat_template"
        )
    if isinstance(template, str):
        return template
    if "default" not in template:
        raise ValueError(
            f"the checkpoint has the chat templates {', '.join(map(repr, template))} "
            "and none named 'default': choose one, as in tokenizer.chat_template = "
            f"tokenizer.chat_template[{next(iter(template), 'name')!r}]"
        )
    return template["default"]


def plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as nothing but JSON, so that a template gets no object to call.

    What is None is left out, as many templates would write it, and reasoning goes by
    all names that templates have for it.
    """
    is_list = isinstance(messages, Sequence) and not isinstance(messages, str)
    if (
        not is_list
        or not messages
        or not all(isinstance(m, Mapping) and "role" in m for m in messages)
    ):
        raise ValueError(
            f"messages is {messages!r}: it must be a list such as "
            '[{"role": "user", "content": "Hello"}]'
        )
    try:
        copied: list[dict[str, Any]] = json.loads(json.dumps([*map(dict, messages)]))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"messages hold more than text, numbers, lists and dicts: {error}"
        ) from error
    said = [{k: v for k, v in m.items() if v is not None} for m in copied]
    return [with_reasoning(message) for message in said]


def with_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its reasoning, if it has any, under the two names that templates read."""
    names = ("reasoning_content", "thinking", "reasoning")
    reasoning = next((message[name] for name in names if name in message), None)
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


@lru_cache(maxsize=8)
def compiled(template: str) -> jinja2.Template:
    """The template in the environment that checkpoints' templates are written for.

    Source: Hugging Face transformers, `apply_chat_template`.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationBlock, loopcontrols],
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


class GenerationBlock(Extension):
    """`{% generation %} ... {% endgeneration %}`, which marks what to train on: its content."""

    tags = {"generation"}  # noqa: RUF012  the base class asks for this attribute

    def parse(self, parser: Parser) -> nodes.Node:
        """The content, with its variables kept inside."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def raise_exception(message: str) -> None:
    """How a template refuses a conversation."""
    raise jinja2.TemplateError(message)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter would escape it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
