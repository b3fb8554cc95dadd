import companion
from companion import show
from companion.show.tables import Code


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
