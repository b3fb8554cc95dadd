import math

import pytest
import torch
from matplotlib.figure import Figure as Canvas

import companion
from companion import show
from companion.show import example
from companion.show.plots import apart, name_ends
from companion.show.tables import Code


def carried():
    x = example.tokens()
    return tuple(x @ weight for weight in example.weights())


class TestExample:
    def test_products_are_the_integers_of_the_book(self):
        query, key, value = carried()
        assert query.tolist() == [[1, 3, 1], [1, 1, 4]]
        assert key.tolist() == [[1, 2, 1], [3, 2, 0]]
        assert value.tolist() == [[1, 1, 4], [0, 3, 5]]

    def test_layer_has_every_part_and_keeps_the_shape(self):
        layer = example.decoder_layer()
        out = layer(example.tokens()[None])
        assert out.shape == (1, 2, 4)
        assert out.isfinite().all()
        assert all(parameter.count_nonzero() > 0 for parameter in layer.parameters())

    def test_weights_of_the_layer_tell_rows_and_heads_apart(self):
        layer = example.decoder_layer()
        out = layer(example.tokens()[None])
        for name, parameter in layer.named_parameters():
            if parameter.ndim != 2:
                continue
            rows, right = {tuple(row) for row in parameter.tolist()}, parameter.clone()
            assert len(rows) == len(parameter), name
            for wrong in (right.flip(0), right.flip(1), right.roll(2, dims=1)):
                parameter.copy_(wrong)
                assert (layer(example.tokens()[None]) - out).abs().max() > 1e-2, name
            parameter.copy_(right)


class TestEqualityLedger:
    def test_accepts_what_is_equal(self):
        a = torch.tensor([1.0, -math.inf])
        ledger = show.EqualityLedger().exact("a", a, "b", a.clone())
        ledger.close("a", a, "c", a + torch.tensor([1e-7, 0]))
        assert [row[-1] for row in ledger.rows] == ["exact", "< 1e-06"]

    def test_refuses_what_is_not(self):
        a = torch.zeros(2)
        with pytest.raises(ValueError, match=r"a and b differ by up to 0\.5"):
            show.EqualityLedger().exact("a", a, "b", a + 0.5)
        with pytest.raises(ValueError, match=r"more than 0\.001"):
            show.EqualityLedger().close("a", a, "b", a + 0.5, within=1e-3)
        with pytest.raises(ValueError, match="compare like with like"):
            show.EqualityLedger().exact("a", a, "b", torch.zeros(3))
        with pytest.raises(ValueError, match="nan"):
            show.EqualityLedger().close("a", a, "b", a * math.nan)


class TestFigures:
    def test_equation_draws_every_number(self):
        x, (w_q, _, _) = example.tokens(), example.weights()
        figure = show.equation([("X", x), "@", ("W", w_q), "=", ("Q", x @ w_q)], "c")
        drawn = figure._repr_html_()
        assert drawn.count("<rect") == x.numel() + w_q.numel() + 6
        assert "X (2, 4) @ W (4, 3) = Q (2, 3)" in figure.alt
        assert "<figcaption>c</figcaption>" in drawn

    def test_every_panel_has_a_name_for_screen_readers(self):
        figures = [
            show.weights_figure(torch.eye(2), ["a", "b"], ["a", "b"], "c"),
            show.weights_figure(torch.rand(2, 8, 8), ["q"] * 8, ["k"] * 8, "c"),
            show.mask_figure([("m", companion.causal_mask(3))], "c"),
            show.bars(["a", "b"], torch.tensor([0.75, 0.25]), "c", alt="two bars"),
            show.grid_of_products(torch.ones(2, 1, 3, 3), torch.ones(4, 3, 3), "c"),
            show.layer_picture(example.decoder_layer(), example.tokens()[None], "c"),
            show.curves([1, 2], {"y": torch.ones(2)}, x_label="x", y_label="y", alt="flat",
                        caption="c", log=True),
            show.head_sharing({"MQA": torch.tensor([0, 0])}, "c"),
        ]  # fmt: skip
        for figure in figures:
            assert all(
                'role="img"' in panel and "aria-label=" in panel
                for panel in figure.panels
            )
            assert "#000000" not in figure._repr_html_()

    def test_forward_picture_shows_the_shapes_of_the_call(self):
        model = companion.LlamaForCausalLM(example.layer_config())
        figure = show.forward_picture(model, torch.tensor([[1, 2, 3]]), "c")
        drawn = figure._repr_html_()
        for shape in ("(1, 3)", "(1, 3, 4)", "(1, 3, 2)", "(1, 3, 6)", "(1, 3, 8)"):
            assert shape in drawn

    def test_layer_picture_tells_what_is_turned_and_what_is_added(self):
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

    def test_output_shapes_leave_the_model_as_it_was(self):
        layer = example.decoder_layer()
        attend = layer.self_attn.attend
        shapes = show.output_shapes(layer, torch.ones(1, 3, 4))
        assert shapes[""] == shapes["self_attn"] == (1, 3, 4)
        assert shapes["self_attn.key"] == (1, 1, 3, 2)
        assert shapes["self_attn.heads"] == (1, 2, 3, 2)
        assert shapes["self_attn.weights"] == (1, 2, 3, 3)
        assert shapes["mlp.gate_proj"] == (1, 3, 6)
        assert layer.self_attn.attend is attend
        assert not any(module._forward_hooks for module in layer.modules())

    def test_head_sharing_draws_a_line_from_each_query_head(self):
        maps = {"GQA": torch.tensor([0, 0, 1, 1]), "tiled": torch.tensor([0, 1, 0, 1])}
        figure = show.head_sharing(maps, "c")
        drawn = figure._repr_html_()
        assert drawn.count("<rect") == 2 * (4 + 2)
        # query head 1 stands at 84; it reads head 0 at 66, or head 1 at 138
        assert drawn.count("M84 52 L66 82") == 1
        assert drawn.count("M84 180 L138 210") == 1
        assert "tiled: query heads 0 to 3 read [0, 1, 0, 1]" in figure.alt

    def test_head_sharing_compares_the_same_query_heads(self):
        maps = {"four": torch.zeros(4), "eight": torch.zeros(8)}
        with pytest.raises(ValueError, match=r"maps have \[4, 8\] query heads"):
            show.head_sharing(maps, "c")

    def test_curves_are_named_where_they_end(self):
        lines = {
            "up": torch.tensor([0.0, 1.0]),
            "a longer name": torch.tensor([1.0, 0]),
        }
        figure = show.curves(
            [1, 2], lines, x_label="x", y_label="y", alt="a", caption="c"
        )
        drawn = figure._repr_html_()
        assert "legend" not in drawn
        assert "a longer name</text>" in drawn

    def test_a_name_belongs_to_its_curve(self):
        axes = Canvas().subplots()
        axes.plot([1, 2, 3], [0.0, 0.5, 2.0])
        axes.plot([1, 2, 3], [1.0, 0.5, 0.0])
        name_ends(axes, ["rises", "falls to nothing"])
        assert [(each.get_text(), each.xy) for each in axes.texts] == [
            ("rises", (3, 2.0)),
            ("falls to\nnothing", (3, 0.0)),
        ]
        assert axes.texts[0].xyann[1] > axes.texts[1].xyann[1]

    def test_curves_refuse_more_than_there_are_colors_for(self):
        lines = {str(i): torch.ones(2) for i in range(5)}
        with pytest.raises(ValueError, match="5 curves: one picture takes at most 4"):
            show.curves([1, 2], lines, x_label="x", y_label="y", alt="a", caption="c")

    @pytest.mark.parametrize(
        ("wanted", "places"),
        [
            ([0.2, 0.6], [0.2, 0.6]),
            ([0.5, 0.5], [0.5, 0.6]),
            ([0.51, 0.5, 0.49], [0.69, 0.59, 0.49]),
            ([1.0, 0.99, 0.2], [0.95, 0.85, 0.2]),
        ],
    )
    def test_names_of_curves_do_not_overlap(self, wanted, places):
        assert apart(wanted, [0.1] * len(wanted)) == pytest.approx(places)

    def test_grid_refuses_shapes_it_does_not_draw(self):
        with pytest.raises(ValueError, match=r"\(j, 1, n, m\) and \(k, m, p\)"):
            show.grid_of_products(torch.ones(2, 3), torch.ones(3, 2), "c")

    def test_curves_are_the_same_every_time(self):
        def draw():
            line = {"y": torch.tensor([0.1, 0.2])}
            return show.curves(
                [1, 2], line, x_label="x", y_label="y", alt="a", caption="c"
            )

        assert draw()._repr_html_() == draw()._repr_html_()


class TestSource:
    def test_is_the_text_of_the_file(self):
        shown = show.source(companion.repeat_kv)
        assert "companion/gqa.py" in shown._repr_markdown_()
        assert "```python\ndef repeat_kv(" in shown._repr_markdown_()
        assert repr(shown).startswith("# companion/gqa.py\ndef repeat_kv(")

    def test_methods_lose_their_indent(self):
        shown = repr(show.source(companion.LlamaMLP.forward))
        assert "\n# LlamaMLP.forward\ndef forward(" in shown


def test_table_as_text_and_html():
    table = show.table(("a", "b"), [((2, 3), 12345), (Code("x < y", 1), "w")])
    assert "12,345" in repr(table)
    assert "  x < y" in repr(table)
    assert (
        '<td class="shape">(2, 3)</td><td class="number">12,345</td>'
        in table._repr_html_()
    )
    assert "<code>x &lt; y</code>" in table._repr_html_()


def test_explanation_draws_as_text_and_html():
    explained = companion.explain_matmul((2, 1, 4, 4), (3, 4, 4))
    assert "result  2  3  4  4" in repr(explained)
    assert "<td>3</td>" in explained._repr_html_()
