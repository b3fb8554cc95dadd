"""Where links lead, and whether their text says so."""

import pytest

from claims.anchors import wrong_links
from claims.pages import Page

PAGES = {
    "mask": Page(
        "mask", source="# The causal mask\n\n## Padding, on the left\n\n#### Deep\n"
    ),
    "rope": Page(
        "rope", source="# RoPE: positions as `x`\n\n## One\n\n## One\n\n(here)=\n"
    ),
    "api": Page("api", source="# API reference\n"),
    "api_fast": Page("api_fast", source="# companion.fast\n"),
}


def wrong(text):
    page = Page("rope", source=PAGES["rope"].source + text)
    return list(wrong_links(page, PAGES | {"rope": page}))


@pytest.mark.parametrize(
    "text",
    [
        "[padding](mask.ipynb#padding-on-the-left), [this](#one), [that](#one-1), [a](#here)",
        "[The causal mask](mask.ipynb), the [chapter on masks](mask.ipynb)",
        "[the chapter on positions](rope.ipynb), [API reference](api_fast.md)",
        "[elsewhere](https://example.org#no), [what it is](mask.ipynb)",
    ],
)
def test_right(text):
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[padding](mask.ipynb#padding-on-the-right)", "no such heading"),
        ("[deep](mask.ipynb#deep)", "no such heading"),
        ("[that](#one-2)", "no such heading"),
        ("[The causal mask](rope.ipynb)", "title of mask"),
        ("[the chapter on masks](rope.ipynb)", "no heading"),
    ],
)
def test_wrong(text, said):
    [problem] = wrong(text)
    assert said in problem
