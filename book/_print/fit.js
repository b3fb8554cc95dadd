// The document as wide as the paper: marks lines that are carried over, makes smaller what is too wide or too tall.
// Returns what became too small to be read.
() => {
  const LEAST = 0.6;
  const TALLEST = 900; // pixels of a page's 960
  const MARK =
    '<svg class="carried" aria-hidden="true" viewBox="0 0 16 24"><path d="M3 5v8h9m-3.500-3.500 3.500 3.500-3.500 3.500"/></svg>';
  // All is measured before anything is changed: each change would have the whole book laid out again.
  const all = (selector) => [...document.querySelectorAll(selector)];

  const carried = all(".lines .line").map((line) => {
    const height = parseFloat(getComputedStyle(line).lineHeight);
    return [line, height, Math.round(line.offsetHeight / height)];
  });
  for (const [line, height, rows] of carried)
    for (let row = 1; row < rows; row++) {
      line.insertAdjacentHTML("beforeend", MARK);
      line.lastChild.style.top = `${row * height}px`;
    }

  const sized = all(".bd-article :is(table, .katex-display, figure)").map((node) => {
    const box = node.getBoundingClientRect();
    const inside = node.matches(".katex-display") ? node.scrollWidth - node.clientWidth : 0;
    const over = Math.max(box.right - node.closest(".bd-article").getBoundingClientRect().right, inside);
    const width = Math.max(box.width, node.scrollWidth);
    const across = over > 0.5 ? (width - over) / width - 0.005 : 1;
    const down = node.matches("figure") ? Math.min(1, TALLEST / box.height) : 1;
    return [node, Math.min(across, down)];
  });
  const fitted = sized.filter(([, zoom]) => zoom < 1);
  for (const [node, zoom] of fitted) node.style.zoom = zoom;
  return fitted
    .filter(([, zoom]) => zoom < LEAST)
    .map(([node, zoom]) => `${zoom.toFixed(2)} ${node.outerHTML.slice(0, 80)}`);
}
