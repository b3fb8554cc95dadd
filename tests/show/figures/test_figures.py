import torch

import companion
from companion import show
from companion.show import example


def test_every_panel_has_a_name_for_screen_readers():
    figures = [
        show.weights_figure(torch.eye(2), ["a", "b"], ["a", "b"], "c"),
        show.weights_figure(torch.rand(2, 8, 8), ["q"] * 8, ["k"] * 8, "c"),
        show.mask_figure([("m", companion.causal_mask(3))], "c"),
        show.bars(["a", "b"], {"": torch.tensor([0.75, 0.25])}, "c"),
        show.grid_of_products(torch.ones(2, 1, 3, 3), torch.ones(4, 3, 3), "c"),
        show.layer_picture(example.decoder_layer(), example.tokens()[None], "c"),
        show.curves([1, 2], {"y": torch.ones(2)}, x_label="x", y_label="y", alt="flat",
                    caption="c", log=True),
        show.head_sharing({"MQA": torch.tensor([0, 0])}, "c"),
    ]  # fmt: skip
    for figure in figures:
        assert all(
            'role="img"' in panel and "aria-label=" in panel for panel in figure.panels
        )
        assert "#000000" not in figure._repr_html_()
