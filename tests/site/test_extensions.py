"""What book/_ext makes of a chapter's cells, part by part, without a build."""

import re
import sys
from pathlib import Path

import pytest
from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
import cells
import columns
import look
import printed

SOURCE = '''@guarded
def f(x: "a b") -> int:
    """One line."""
    return """no docstring"""

class A:
    """
    Several,

    with a gap.
    """

    def g(self):
        """Two

        lines."""
'''


def colored(source):
    return highlight(source, PythonLexer(), HtmlFormatter())


def text_of(markup):
    return re.sub("<[^>]+>", "", markup)


def test_docstrings_and_nothing_else_are_folded():
    folded, count = cells.fold_docstrings(colored(SOURCE))
    assert count == 3
    assert text_of(folded) == text_of(colored(SOURCE))
    inside = re.findall(r'<span class="docstring">(.*?\n)</span>', folded, re.DOTALL)
    assert "One line." in inside[0]
    assert "Several" in inside[1]
    assert "with a gap." in inside[1]
    assert "lines." in inside[2]
    assert "no docstring" not in "".join(inside)


def test_what_differs_is_marked_and_nothing_is_lost():
    left, right = "def f(a, b):\n    return a + b\n", "def f(a, c):\n    return a - c\n"
    one, other = columns.marked(colored(left), colored(right))
    assert text_of(one) == text_of(colored(left))
    assert text_of(other) == text_of(colored(right))
    marks = [re.findall(r"<mark>(.*?)</mark>", side) for side in (one, other)]
    assert [[text_of(mark) for mark in side] for side in marks] == [
        ["b", "+", "b"],
        ["c", "-", "c"],
    ]


def test_a_listing_leads_to_its_files():
    theme = {"repository_url": "https://x/book", "repository_branch": "main"}
    assert cells.linked("companion/a.py, companion/b.py", theme) == (
        '<a href="https://x/book/blob/main/companion/a.py">companion/a.py</a>, '
        '<a href="https://x/book/blob/main/companion/b.py">companion/b.py</a>'
    )


def test_functions_of_a_listing():
    text = "# A.f\n@guarded\ndef f():\n\n    x = 1\n\n# B.g\ndef g():\n    pass"
    assert columns.functions_of(text) == [
        *text.split("\n\n# B.g")[:1],
        "# B.g\ndef g():\n    pass",
    ]


PRINTED = """scaled
 tensor([[4.619, -inf],
        [-4.041, 0.000]])
row sums tensor([1, 2], dtype=torch.bfloat16)
mask tensor([[[ True, False]]])
end"""


def test_printed_tensors_are_found_with_their_labels():
    parts = printed.split(PRINTED)
    assert parts == [
        printed.Printed("scaled", [[["4.619", "-inf"], ["-4.041", "0.000"]]], ""),
        printed.Printed("row sums", [[["1", "2"]]], "dtype=torch.bfloat16"),
        printed.Printed("mask", [[["True", "False"]]], ""),
        "end",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "tensor(3.)",
        "tensor([])",
        "tensor([[], []])",
        "tensor([1., 2., ..., 3.])",
        f"tensor({list(range(13))})",
        "a 'tensor' of (2, 3)",
    ],
)
def test_what_is_no_matrix_stays_text(text):
    assert printed.split(text) == [text]


def test_drawn_numbers_are_those_printed_and_signs_are_fills():
    drawn = printed.drawn(printed.split(PRINTED))
    cells_of = re.findall(
        r'<td class="(\w*)" style="--strength:([\d.]+)">(.*?)</td>', drawn
    )
    assert cells_of == [
        ("", "1.00", "4.619"),
        ("negative", "0.00", "−inf"),
        ("negative", "0.87", "−4.041"),
        ("", "0.00", "0.000"),
        ("", "0.50", "1"),
        ("", "1.00", "2"),
        ("", "1.00", "True"),
        ("struck", "0.00", "False"),
    ]
    assert '<pre class="said">end</pre>' in drawn
    assert "<script>" not in printed.drawn(printed.split("<script> tensor([1])"))


def test_several_matrices_share_a_scale():
    drawn = printed.drawn(printed.split("tensor([[[1.]], [[4.]]])"))
    assert re.findall(r"--strength:([\d.]+)", drawn) == ["0.25", "1.00"]
    assert drawn.count("<table") == 2


def cell_with(*output):
    container = nodes.container(cell_metadata={"tags": ["check"]})
    container += [nodes.literal_block("", "code"), *output]
    return container


def test_a_check_says_what_its_ledger_says():
    drawn = '<table data-summary="✓ 2 equalities: 1 exact, 1 within 1e-06 &amp; so"></table>'
    container = cell_with(nodes.container("", nodes.raw("", drawn, format="html")))
    _, output = cells.halves(container)
    assert cells.summary(output) == "✓ 2 equalities: 1 exact, 1 within 1e-06 & so"


def test_figures_get_numbers_and_anchors():
    drawn = (
        '<figure class="companion-figure" role="group" aria-label="X &amp; more"><div></div>'
        "<summary>The same as a table</summary><figcaption>Words</figcaption></figure>"
    )
    assert look.numbered(drawn, "2.3") == (
        '<figure class="companion-figure" id="figure-2-3" role="group" aria-label="Figure 2.3" '
        'aria-describedby="figure-2-3-caption"><div></div>'
        "<summary>Figure 2.3 as a table, as it starts</summary>"
        '<figcaption id="figure-2-3-caption"><span class="number">Figure 2.3</span> Words'
        "</figcaption></figure>"
    )


def test_a_fold_says_where_it_is_to_who_hears_it():
    section = nodes.section("", nodes.title("", "Scores & scale"), nodes.container())
    title = cells.section_of(section[1])
    opening, _ = cells.fold("check", "✓ 1 equality", [], title)
    assert (
        '<summary aria-label="✓ 1 equality, in “Scores &amp; scale”">✓ 1 equality<'
        in opening.astext()
    )
    assert cells.section_of(nodes.container()) == ""


def document_with(*shapes):
    document = nodes.section()
    for sizes, axes in shapes:
        said = (
            f'<span class="axes-shape" data-sizes="{sizes}" data-axes="{axes}"></span>'
        )
        document += nodes.raw("", said, format="html")
    return document


def test_a_shape_of_two_meanings_gets_no_axes():
    document = document_with(
        ("(1, 2, 3)", "batch q_len head_dim"),
        ("(1, 4, 5)", "batch q_len hidden"),
        ("(1, 2, 3)", "batch q_len kv_len"),
        ("(2, 4)", "q_len kv_len"),
        ("(1, 5, 5)", "batch q_len kv_len"),
    )
    assert look.shapes_in(document) == {"(1, 4, 5)": ["batch", "q_len", "hidden"]}


def test_chips_in_prose_are_read_as_the_shape():
    chips = look.chips_of("(2, 16, 64)", ["q_len", "intermediate", "head_dim"])
    paragraph = nodes.paragraph("", "", *chips)
    assert text_of(paragraph.astext()) == "(2q, 16, 64d)"
    assert paragraph.astext().count('class="letter" aria-hidden="true"') == 2
    assert [
        chip["classes"][1]
        for chip in paragraph.findall(nodes.inline)
        if "axis" in chip["classes"]
    ] == ["axis-q", "axis-d"]


@pytest.mark.parametrize(
    ("formula", "made"),
    [
        (r"\sqrt{\text{head\_dim}}", r"\sqrt{\htmlClass{axis-d}{\text{head\_dim}}}"),
        (r"\text{kv\_heads} \cdot x", r"\htmlClass{axis-h}{\text{kv\_heads}} \cdot x"),
        (r"\text{layers}", r"\text{layers}"),
    ],
)
def test_axes_in_formulas(formula, made):
    assert look.WORD.sub(look.colored, formula) == made


def test_every_script_of_a_figure_is_written():
    assert {"figure", "attention-explorer"} <= set(look.names())
    element = '<attention-explorer><script type="application/json">{}</script></attention-explorer>'
    assert look.ELEMENT.findall(element) == ["attention-explorer"]


def test_space_is_no_difference_and_long_listings_are_compared_whole():
    one, other = columns.marked(colored("f(a,b)\n"), colored("f(a, b)\n"))
    assert "<mark>" not in one + other
    long = "".join(f"    x = g(x)  # {n}\n" for n in range(300))
    one, other = columns.marked(colored(long), colored(long + "    y = 1\n"))
    assert "<mark>" not in one
    assert [text_of(each) for each in re.findall("<mark>(.*?)</mark>", other)] == [
        "y",
        "=",
        "1",
    ]
