import re

import pytest

from companion import show


def test_areas_are_as_the_sizes():
    figure = show.areas({"a": 100, "b": 25, "c": 1}, unit="B", caption="c")
    sides = [
        float(re.search(r'<rect [^>]*width="([\d.]+)"', each)[1])
        for each in figure.panels
    ]
    assert [side**2 / sides[0] ** 2 for side in sides] == pytest.approx(
        [1, 0.25, 0.01], rel=1e-3
    )
    assert figure.alt.startswith("a 100 B, 100% of the largest; b 25 B, 25%")


@pytest.mark.parametrize(
    ("sizes", "why"), [({}, "no sizes"), ({"a": 1, "b": 0}, "b: an area needs")]
)
def test_nothing_has_no_area(sizes, why):
    with pytest.raises(ValueError, match=why):
        show.areas(sizes, unit="B", caption="c")
