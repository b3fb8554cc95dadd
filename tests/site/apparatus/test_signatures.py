"""Signatures of the API pages read as code."""

import browse
import pytest
import toc
from signatures import mended

PAGES = [name for name in toc.pages() if "/api" in name]


def test_a_list_becomes_lines():
    listed = '<dt class="sig"><b>f</b>(<dl>\n<dd><em>a</em>,</dd>\n<dd><em>b</em>,</dd>\n</dl>\n)</dt>'
    line = '<span class="sig-line"><em>{}</em>,</span>'
    both = line.format("a") + line.format("b")
    lines = f'<dt class="sig"><b>f</b>(<span class="sig-lines">{both}</span>)</dt>'
    assert mended(listed) == lines
    assert mended(f"<dl><dd>{listed}</dd></dl>") == f"<dl><dd>{lines}</dd></dl>"
    assert mended("<dl><dd>no signature</dd></dl>") == "<dl><dd>no signature</dd></dl>"


def test_all_rooms_have_a_page():
    assert len(PAGES) == 7


@pytest.mark.parametrize("name", PAGES)
def test_no_list_is_in_a_signature(name, site):
    signatures = browse.parsed(site / f"{name}.html").select("dt.sig")
    assert signatures
    assert not [each.get_text() for each in signatures if each.find(["dl", "dd"])]


@pytest.mark.parametrize("size", [browse.DESKTOP, browse.PHONE], ids=["wide", "phone"])
def test_a_long_one_has_a_parameter_on_each_line(size, visit, site):
    visit.open(site / "book" / "api.html", size=size)
    lines, font, inside = visit.page.evaluate(
        """() => {
          const dt = document.getElementById("companion.attention.scaled_dot_product_attention");
          const spans = [...dt.querySelectorAll(".sig-line")], box = dt.getBoundingClientRect();
          const tops = new Set(spans.map(span => Math.round(span.getBoundingClientRect().top)));
          const inside = spans.every(span => span.getBoundingClientRect().right <= box.right);
          return [[spans.length, tops.size], getComputedStyle(spans[0]).fontFamily, inside];
        }"""
    )
    assert lines == [9, 9]  # eight parameters and the star
    assert "mono" in font.lower()
    assert inside
