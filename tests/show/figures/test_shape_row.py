import re

from companion import show


def test_boxes_of_one_scale_with_their_sizes():
    figure = show.shapes_figure(
        {
            "a": ((2, 5, 32), ("batch", "q_len", "hidden")),
            "b": ((10, 32), ("", "hidden")),
        },
        "c",
    )
    assert figure.alt == "a (2, 5, 32), then b (10, 32)"
    wide = [float(re.search(r"M4 98h([\d.]+)v", panel)[1]) for panel in figure.panels]
    assert wide[0] == wide[1]  # 32 both times
    assert "hidden" in figure._repr_html_()


def test_the_largest_box_has_room():
    figure = show.shapes_figure(
        {"a": ((5, 49152), ("q_len", "")), "b": ((5, 2), ("q_len", ""))}, "c"
    )
    wide, small = (
        float(re.search(r"M4 98h([\d.]+)v", panel)[1]) for panel in figure.panels
    )
    assert small < wide <= 150
