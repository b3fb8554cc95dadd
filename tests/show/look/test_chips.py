"""Chips: what they show, under which names, and what is read out."""

import pytest

from companion.show.figures.svg import worded
from companion.show.look.chips import chip, shape_chips
from companion.show.look.palette import ALSO, AXES


@pytest.mark.parametrize(("name", "axis"), [*AXES.items(), *ALSO.items()])
def test_a_size_has_the_letter_of_its_axis_and_a_name_has_none(name, axis):
    assert chip("64", name) == (
        f'<span class="axis" data-axis="{axis.letter}" title="{name}">'
        f'<span class="size">64</span><span class="letter" aria-hidden="true">{axis.letter}</span></span>'
    )
    assert chip(name, name) == (
        f'<span class="axis" data-axis="{axis.letter}" title="{name}">'
        f'<span class="size">{name}</span></span>'
    )


def test_what_is_no_axis_is_the_bare_word_escaped():
    assert chip("vocab", "vocab") == "vocab"
    assert chip("<b>", "") == "&lt;b&gt;"
    assert "&lt;i&gt;" in chip("<i>", "batch")


def test_a_shape_is_read_out_by_its_axes():
    drawn = shape_chips((1, 9, 5, 64), ("batch", "q_heads", "q_len", "head_dim"))
    assert (
        'role="img" aria-label="shape 1 batch, 9 q_heads, 5 q_len, 64 head_dim"'
        in drawn
    )
    assert (
        'data-sizes="(1, 9, 5, 64)" data-axes="batch q_heads q_len head_dim"' in drawn
    )
    assert drawn.count("data-axis") == 4


def test_a_shape_without_axes_is_text():
    assert shape_chips((5,), ("",)) == '<span class="axes-shape">(5,)</span>'
    assert (
        shape_chips((5, 49152), ("", "vocab"))
        == '<span class="axes-shape">(5, 49152)</span>'
    )


def test_every_size_has_a_name():
    with pytest.raises(ValueError, match="zip"):
        shape_chips((1, 2), ("batch",))


def test_captions_have_chips_and_code_and_no_html_of_their_own():
    assert (
        worded("a `q_len` <b>") == f"a <code>{chip('q_len', 'q_len')}</code> &lt;b&gt;"
    )
    assert worded("`x < y`") == "<code>x &lt; y</code>"
