"""Draw the card that is shown where a page of the book is shared: `make card`, after a change of the look.

Its figure is the package's own, of the running example; its colors are the look's.
"""

import sys
from pathlib import Path

from companion.show import example
from companion.show.figures.matrices import equation
from companion.show.look.chips import shape_chips
from companion.show.look.stylesheet import stylesheet

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "book" / "_static" / "social-card.png"
WIDTH, HEIGHT = 1200, 630
SHAPE = (1, 9, 5, 64), ("batch", "heads", "q_len", "head_dim")
AXES = {
    "X": ("length", "hidden"),
    "W_q": ("hidden", "head_dim"),
    "Q": ("length", "head_dim"),
}
STYLE = """
body { margin: 0; padding: 56px 64px; box-sizing: border-box; width: 1200px; height: 630px;
  position: relative; font-family: "DejaVu Sans", sans-serif; color: var(--look-text);
  background: var(--look-activations); }
h1 { margin: 0; font-size: 62px; letter-spacing: -1px; }
p { margin: 14px 0 0; font-size: 29px; color: var(--look-muted); }
.companion-figure { margin: 28px 0 0; max-width: none; zoom: 1.55; }
.companion-figure figcaption { display: none; }
.companion-figure .panels { flex-wrap: nowrap; gap: 24px; }
.shape { position: absolute; left: 64px; bottom: 46px; font: 600 46px "DejaVu Sans Mono", monospace; }
.edge { position: absolute; inset: auto 0 0 0; height: 14px; background: var(--look-positive); }
"""


def page() -> str:
    """The card as a page of HTML."""
    tokens, (w_q, _, _) = example.tokens(), example.weights()
    parts = [("X", tokens), "@", ("W_q", w_q), "=", ("Q", tokens @ w_q)]
    figure = equation(parts, "", axes=AXES)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{stylesheet()}{STYLE}</style>'
        "<body><h1>The Shape of Attention</h1><p>What exactly happens inside a Llama forward pass?<br>"
        "Every tensor’s shape and every number, by running it.</p>"
        f'{figure._repr_html_()}<div class="shape">{shape_chips(*SHAPE)}</div>'
        '<div class="edge"></div></body></html>'
    )


def main() -> None:
    """Take the picture, with the browser that the site's tests use."""
    sys.path.insert(0, str(ROOT / "tests" / "site"))
    from browse import launch
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright)
        card = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        card.set_content(page())
        card.screenshot(path=FILE)
        browser.close()
    print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
