"""The chat templates of a directory, from wherever it keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from companion.tokenizers.files import read_object, read_text

Templates = str | dict[str, str] | None  # one, several by name, or none


def read_template(path: Path, config: Mapping[str, Any]) -> Templates:
    """The templates in files of their own, or else in tokenizer_config.json (`config`).

    Those of their own are chat_template.jinja and additional_chat_templates/, or else
    chat_template.json.

    Raises: ValueError for templates of another kind.
    """
    default = path / "chat_template.jinja"
    named = {"default": read_text(default)} if default.exists() else {}
    more = sorted((path / "additional_chat_templates").glob("*.jinja"))
    named |= {file.name.removesuffix(".jinja"): read_text(file) for file in more}
    if named:
        return only(named)
    template = config.get("chat_template")
    if template is not None:
        return templates(path / "tokenizer_config.json", template)
    file = path / "chat_template.json"
    return templates(file, read_object(file).get("chat_template"))


def templates(file: Path, template: Any) -> Templates:
    """What a JSON file has as its chat_template: text, or a list of names and templates."""
    if isinstance(template, list):
        try:
            named = {entry["name"]: entry["template"] for entry in template}
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"{file} has a chat_template that is not a list of objects with name "
                "and template"
            ) from error
        if all(isinstance(text, str) for text in (*named, *named.values())):
            return only(named)
    if template is not None and not isinstance(template, str):
        raise ValueError(
            f"{file} has a chat_template that is a {type(template).__name__}: it must "
            "be text, or a list of objects with name and template"
        )
    return template


def only(named: dict[str, str]) -> Templates:
    """The template itself, if there is only the default one."""
    return named["default"] if [*named] == ["default"] else named
