"""What each built page weighs and shows first: `make page-figures`.

For a reader at 1280 x 900: requests, compressed bytes, layout shift, when the largest element is painted,
where the first picture is, and what the height of the article is made of.
"""

import argparse
from pathlib import Path

import toc
from browse import Visit, launch
from playwright.sync_api import Page, sync_playwright

# Who owns each pixel of the article's height: the innermost block of one of these kinds.
KINDS = {
    "figure": "figure, [data-figure]",
    "table": "table",
    "source": ".cell_output div.highlight-python, .cell_output div.highlight-ipython3, .listing",
    "input": ".cell_input, details.hide, details.cell-fold",
    "output": ".cell_output",
    "heading": "h1, h2, h3, h4",
    "prose": "p, ul, ol, dl, blockquote, .math, .admonition",
}

WATCH = """
window.seen = {shift: 0, paint: 0};
const watch = (type, sees) =>
  new PerformanceObserver(list => list.getEntries().forEach(sees)).observe({type, buffered: true});
watch("layout-shift", entry => { if (!entry.hadRecentInput) seen.shift += entry.value; });
watch("largest-contentful-paint", entry => { seen.paint = entry.startTime; });
"""

SHARES = """kinds => {
  const article = document.querySelector("article.bd-article");
  const total = article.getBoundingClientRect().height, shares = {};
  const within = (node, other) => other.some(o => o !== node && o.contains(node));
  const visible = node => node.checkVisibility() && node.getBoundingClientRect().height > 0;
  const taken = [];
  for (const [kind, selector] of Object.entries(kinds)) {
    const nodes = [...article.querySelectorAll(selector)].filter(visible);
    const own = nodes.filter(node => !within(node, nodes) && !within(node, taken));
    const inside = node => {
      const held = taken.filter(other => node.contains(other));
      return held.filter(o => !within(o, held)).reduce((sum, o) => sum + o.getBoundingClientRect().height, 0);
    };
    const heights = own.map(node => Math.max(node.getBoundingClientRect().height - inside(node), 0));
    shares[kind] = heights.reduce((sum, h) => sum + h, 0) / total;
    taken.push(...own);
  }
  return shares;
}"""

FIRST_FIGURE = """() => {
  const shown = [...document.querySelectorAll("article figure, article [data-figure], article img")]
    .filter(node => node.checkVisibility() && node.getBoundingClientRect().height > 60);
  const tops = shown.map(node => node.getBoundingClientRect().top + scrollY);
  return tops.length ? Math.round(Math.min(...tops)) : null;
}"""


def measured(page: Page) -> dict[str, object]:
    """Shift, paint, first figure and shares of an open page, after a scroll to its end and back."""
    page.wait_for_timeout(300)
    paint = page.evaluate(
        "seen.paint"
    )  # of the first screen: a scroll shows what may be larger
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, 0)")
    shift = page.evaluate("seen.shift")
    return {
        "shift": shift,
        "paint": paint,
        "figure": page.evaluate(FIRST_FIGURE),
        "height": page.evaluate(
            "document.querySelector('article.bd-article').getBoundingClientRect().height"
        ),
        "shares": page.evaluate(SHARES, KINDS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=toc.ROOT / "_build" / "html")
    arguments = parser.parse_args()
    head = f"{'page':<26}{'req':>4}{'KB':>6}{'shift':>7}{'paint ms':>9}{'1st fig':>8}{'height':>8}  "
    print(head + "".join(f"{kind:>8}" for kind in KINDS))
    sums = dict.fromkeys(KINDS, 0.0)
    total = 0.0
    with sync_playwright() as playwright:
        browser = launch(playwright)
        context = browser.new_context(offline=True)
        context.add_init_script(WATCH)
        for name in toc.pages():
            visit = Visit(context, arguments.site / f"{name}.html")
            found = measured(visit.page)
            packed = visit.weight()[1] // 1024
            visit.page.close()
            total += found["height"]
            for kind, share in found["shares"].items():
                sums[kind] += share * found["height"]
            shares = "".join(f"{100 * s:>7.0f}%" for s in found["shares"].values())
            figure = "-" if found["figure"] is None else found["figure"]
            print(
                f"{name.removeprefix('book/'):<26}{len(visit.requests):>4}{packed:>6}{found['shift']:>7.3f}"
                f"{found['paint']:>9.0f}{figure:>8}{found['height']:>8.0f}  {shares}"
            )
        browser.close()
    print(
        f"{'all':<68}  "
        + "".join(f"{100 * sums[kind] / total:>7.0f}%" for kind in KINDS)
    )


if __name__ == "__main__":
    main()
