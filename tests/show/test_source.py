"""The package's own source, as chapters list it."""

import companion
from companion import show


def test_is_the_text_of_the_file():
    shown = show.source(companion.repeat_kv)
    assert "companion/gqa.py" in shown._repr_markdown_()
    assert "\ndef repeat_kv(" in shown._repr_markdown_()
    assert repr(shown).startswith("# companion/gqa.py\n")


def test_methods_lose_their_indent():
    shown = repr(show.source(companion.LlamaMLP.forward))
    assert "\n# LlamaMLP.forward\ndef forward(" in shown
