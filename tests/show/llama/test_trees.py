import pytest
import torch

from companion import TransformerDecoderLayer, TransformerEncoderLayer, show
from companion.show import example


def test_the_tree_names_every_module_and_its_weight():
    model = example.model()
    figure = show.module_tree(model, {"model.layers.0.self_attn": "ours"}, "c")
    for name, module in model.named_modules():
        assert (name.rpartition(".")[2] or "LlamaForCausalLM") in figure.alt
        if getattr(module, "weight", None) is not None:
            assert (
                f"{name.rpartition('.')[2]} {tuple(module.weight.shape)}" in figure.alt
            )
    assert "self_attn, ours" in figure.alt
    assert figure.panels[0].count("← ours") == 1


def test_a_plug_that_is_no_module_is_refused():
    with pytest.raises(ValueError, match=r"model\.layers\.7: no module"):
        show.module_tree(example.model(), {"model.layers.7": "ours"}, "c")


def test_the_stacks_are_those_that_ran():
    torch.manual_seed(0)
    source, target = torch.randn(1, 5, 4), torch.randn(1, 2, 4)
    encoder, decoder = (
        TransformerEncoderLayer(4, 2, 6),
        TransformerDecoderLayer(4, 2, 6),
    )
    figure = show.stacks_figure(encoder, decoder, source, target, "c")
    left, right = figure.panels
    for part in (
        "self_attn, both ways",
        "norm1(x + …)",
        "linear1",
        "linear2",
        "norm2(x + …)",
    ):
        assert left.count(f">{part}<") == 1
    assert left.count("linear1 (1, 5, 6)") == 1
    for part in (
        "self_attn, causal",
        "cross_attn, of memory",
        "norm3(x + …)",
    ):
        assert right.count(f">{part}<") == 1
    assert right.index("self_attn") < right.index("norm1") < right.index("cross_attn")
    assert right.count("linear1 (1, 2, 6)") == 1
    assert "encoder's 5 tokens" in figure.alt
