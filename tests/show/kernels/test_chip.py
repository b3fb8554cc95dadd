"""The picture of a GPU's memories shows its data."""

from companion import show
from companion.show.kernels.chip import BESIDE, FOR_ALL, MULTIPROCESSORS, ON_EACH


def test_every_memory_with_its_size_and_what_it_holds():
    figure = show.chip_figure("A caption.")
    [panel] = figure.panels
    for memory in (*ON_EACH, FOR_ALL, BESIDE):
        for words in (memory.name, memory.size, *memory.holds):
            assert words in panel
            assert words in figure.alt
    assert f"{MULTIPROCESSORS} of them" in panel
    assert "A caption." in figure._repr_html_()
