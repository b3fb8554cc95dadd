import companion
from companion import show
from companion.show.tables import Code, Shape


def test_table_as_text_and_html():
    table = show.table(("a", "b"), [((2, 3), 12345), (Code("x < y", 1), "w")])
    assert "12,345" in repr(table)
    assert "  x < y" in repr(table)
    drawn = table.html()
    assert '<th scope="row" class="shape">(2, 3)</th><td>12,345</td>' in drawn
    assert '<th scope="row"><code style="--depth:1">x &lt; y</code></th>' in drawn


def test_each_row_is_headed_by_its_first_cell():
    drawn = show.table(("a", "b"), [("one", 1), ("", 2)]).html()
    assert '<tr><th scope="row">one</th><td class="number">1</td></tr>' in drawn
    assert '<tr><td></td><td class="number">2</td></tr>' in drawn


def test_a_column_of_numbers_stands_right_with_its_head():
    rows = [("one", "2.5 ms", "9 of 15", 1), ("two", "–", "3", "")]
    rows += [("three", "1,026 ms", "none", "")]
    drawn = show.table(("a", "time", "found", "left"), rows).html()
    assert '<th scope="col" class="number">time</th><th scope="col">found</th>' in drawn
    assert '<td data-label="time" class="number">–</td>' in drawn
    assert '<td data-label="found">3</td>' in drawn
    assert '<td data-label="left" class="number">1</td>' in drawn
    for text in ("< 1e-06", "-11.6%", "128 KB", "135 M", "3 ×", "0.5 s"):
        assert 'class="number"' in show.table(("a",), [(text,)]).html()
    for text in ("3 of 4", "float32", "1 layer", "", "(2, 3)"):
        assert 'class="number"' not in show.table(("a",), [(text,)]).html()


def test_a_table_without_rows_still_has_its_head():
    assert '<th scope="col">a</th>' in show.table(("a",), []).html()


def test_three_columns_are_cards_whose_cells_carry_their_heads():
    rows = [("one <b>", 2, ""), ((3, 4), 5, "six")]
    drawn = show.table(("a", "b & c", "d"), rows).html()
    assert drawn.startswith('<table class="companion-ledger companion-cards">')
    assert (
        '<tr><th scope="row">one &lt;b&gt;</th>'
        '<td data-label="b &amp; c" class="number">' in drawn
    )
    assert '<td data-label="d">six</td>' in drawn
    # a number or a shape does not say by itself what it is
    assert '<tr><th scope="row" data-label="a" class="shape">(3, 4)</th>' in drawn


def test_two_columns_stay_a_table_unless_the_first_is_code():
    assert "data-label" not in show.table(("a", "b"), [("one", 2)]).html()
    assert 'data-label="what it says"' in show.messages(lambda: len("a")).html()


def test_a_shape_is_chips_and_below_them_the_names_without_one():
    axes = "(1, kv_heads, q_len, intermediate)"
    drawn = show.table(("a",), [(Shape((1, 3, 5, 1536), axes),)]).html()
    assert 'aria-label="shape 1, 3 kv_heads, 5 q_len, 1536"' in drawn
    assert drawn.count('class="axis" data-axis=') == 2
    assert '<br><span class="axes">intermediate</span></th>' in drawn
    for plain in (Shape((2, 3)), Shape((), "()")):
        said = show.table(("a",), [(plain,)]).html()
        assert "role=" not in said
        assert str(plain.sizes) in said


def test_the_looks_rules_go_out_with_the_first_output_alone(monkeypatch):
    monkeypatch.setattr("companion.show.look.code.SENT", set())
    table = show.table(("a",), [("b",)])
    assert table._repr_html_().startswith("<style data-look>")
    assert table._repr_html_() == table.html()


def test_explanation_draws_as_text_and_html():
    explained = companion.explain_matmul((2, 1, 4, 4), (3, 4, 4))
    assert "result  2  3  4  4" in repr(explained)
    assert '<td class="stretched"><span>1</span></td>' in explained._repr_html_()
