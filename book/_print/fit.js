// What is wider than the paper is made smaller until it fits; returns what had to be made smaller than can be read.
() => {
  const least = 0.6;
  const wide = (node) => node.getBoundingClientRect().right - node.closest(".bd-article").getBoundingClientRect().right;
  const tooSmall = [];
  for (const node of document.querySelectorAll(".bd-article :is(table, .katex-display, figure)")) {
    const over = wide(node);
    const inner = node.matches(".katex-display") ? node.scrollWidth - node.clientWidth : 0;
    if (Math.max(over, inner) <= 0.5) continue;
    const width = Math.max(node.getBoundingClientRect().width, node.scrollWidth);
    const zoom = (width - Math.max(over, inner)) / width - 0.005;
    node.style.zoom = zoom;
    if (zoom < least) tooSmall.push(`${zoom.toFixed(2)} ${node.outerHTML.slice(0, 80)}`);
  }
  return tooSmall;
}
