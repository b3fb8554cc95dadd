import re

import pytest
import torch

import companion
from companion import show
from companion.show import example
from companion.show.figures.shapes import LEAST, ShapeBox, doubling_of
from companion.show.llama.shapes import output_shapes
from companion.show.look.palette import ACTIVATIONS, EDGE, WEIGHTS


def test_forward_picture_shows_the_shapes_of_the_call():
    model = companion.LlamaForCausalLM(example.layer_config())
    figure = show.forward_picture(model, torch.tensor([[1, 2, 3]]), "c")
    drawn = figure._repr_html_()
    for shape in ("(1, 3)", "(1, 3, 4)", "(1, 3, 2)", "(1, 3, 6)", "(1, 3, 8)"):
        assert shape in drawn


def test_layer_picture_tells_what_is_turned_and_what_is_added():
    layer = example.decoder_layer()
    figure = show.layer_picture(layer, example.tokens()[None], "c")
    drawn = figure._repr_html_()
    for step in ("RoPE(query)", "RoPE(key)", ">value<", "mask, softmax", "o_proj"):
        assert step in drawn
    assert drawn.count(">+ residual<") == 2
    assert "v_proj (1, 2, 2)" in figure.panels[0]  # in words, for screen readers
    assert drawn.count(">residual stream<") == 1
    # q, k and v, then query, key and value, each with an arrow of its own
    assert drawn.count("(1, 1, 2, 2)") == 2
    assert drawn.count(f'Z" fill="{EDGE}"/>') == 11 + 2 * 3
    assert drawn.count('stroke-width="2.5"') == 2


def rects(drawn, ground):
    """The boxes of steps on a ground, without that of the legend."""
    panels = drawn.partition('<div class="scale">')[0]
    return re.findall(rf'<rect [^>]*fill="{re.escape(str(ground))}"', panels)


def test_frames_say_which_steps_have_weights():
    layer = example.decoder_layer()
    drawn = show.layer_picture(layer, example.tokens()[None], "c")._repr_html_()
    # two norms, q, k, v, o, gate and up, down; turning, value, three of attention, silu, two sums
    assert len(rects(drawn, WEIGHTS)) == 2 + 3 + 1 + 1 + 1
    assert len(rects(drawn, ACTIVATIONS)) == 3 + 3 + 1 + 2


def test_sides_are_as_long_as_sizes_have_doublings():
    box = ShapeBox((1, 8, 4, 64), ("batch", "heads", "q_len", "head_dim"), 10.0)
    assert (box.wide, box.high) == (LEAST + 60, LEAST + 20)
    assert box.deep == pytest.approx(0.45 * (LEAST + 30))
    flat = ShapeBox((1, 4, 64), ("batch", "q_len", "hidden"), 10.0)
    assert flat.deep == 0
    assert ShapeBox((5,), ("batch",), 10.0).high == LEAST


@pytest.mark.parametrize("sizes", [(1, 4096, 8192), (1, 64, 4096, 4096), (1, 5, 49152)])
def test_all_boxes_fit_their_room(sizes):
    doubling = doubling_of([sizes, (2, 2)], 112, 34)
    box = ShapeBox(sizes, ("",) * len(sizes), doubling)
    assert box.wide + box.deep <= 112
    assert box.high + box.deep <= 34


def test_both_panels_have_one_scale():
    model = companion.LlamaForCausalLM(example.layer_config())
    panels = show.forward_picture(model, torch.tensor([[1, 2, 3]]), "c").panels
    widths = [re.findall(r'd="M\S+ \S+h([\d.]+)v', panel) for panel in panels]
    # hidden states, of 4, leave the embedding and the layer's norm
    assert widths[0][1] == widths[1][1]


def test_output_shapes_leave_the_model_as_it_was():
    layer = example.decoder_layer()
    attend = layer.self_attn.attend
    shapes = output_shapes(layer, torch.ones(1, 3, 4))
    assert shapes[""] == shapes["self_attn"] == (1, 3, 4)
    assert shapes["self_attn.key"] == (1, 1, 3, 2)
    assert shapes["self_attn.heads"] == (1, 2, 3, 2)
    assert shapes["self_attn.weights"] == (1, 2, 3, 3)
    assert shapes["mlp.gate_proj"] == (1, 3, 6)
    assert layer.self_attn.attend is attend
    assert not any(module._forward_hooks for module in layer.modules())
