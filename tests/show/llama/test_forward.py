import torch

import companion
from companion import show
from companion.show import example
from companion.show.llama.shapes import output_shapes


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
    assert drawn.count("+ residual") == 2
    assert drawn.count(">residual stream<") == 1
    # q, k and v, then query, key and value, each with an arrow of its own
    assert drawn.count("(1, 1, 2, 2)") == 2
    assert drawn.count('stroke-opacity="0.6"') == 11 + 2 * 3
    assert drawn.count('stroke-width="2.5"') == 2


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
