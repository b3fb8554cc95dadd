// What is wider than the screen fades at the edge; code has a button that wraps its lines, all over the book, and
// remembers it.
document.addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("wrap-code") === "yes"; } catch { return false; } };
  const blocks = [...document.querySelectorAll("article .highlight:has(> pre)")];
  const wider = [...document.querySelectorAll("article :is(.highlight > pre, .katex-html, .pst-scrollable-table-container)")];

  // Whether there is more to the right.
  const fade = node => node.toggleAttribute?.("data-more", node.scrollLeft + node.clientWidth < node.scrollWidth - 1);

  function wrap(on) {
    root.toggleAttribute("data-wrap-code", on);
    for (const button of document.querySelectorAll(".wrap-code")) button.setAttribute("aria-pressed", on);
    try { localStorage.setItem("wrap-code", on ? "yes" : "no"); } catch { /* a page from the disk may not store */ }
  }

  // A block that does not overflow needs no button; while all are wrapped, those keep theirs that had one.
  function offer() {
    const wrapped = root.hasAttribute("data-wrap-code");
    wider.forEach(fade);
    for (const block of blocks) {
      const pre = block.querySelector("pre"), offered = block.querySelector(".wrap-code");
      const wide = pre.scrollWidth > pre.clientWidth + 1;
      if (offered) offered.hidden = !wide && !wrapped;
      if (!wide || offered) continue;
      const button = Object.assign(document.createElement("button"), {type: "button", className: "wrap-code", title: "Wrap lines"});
      button.setAttribute("aria-label", "Wrap long lines in all code");
      button.setAttribute("aria-pressed", root.hasAttribute("data-wrap-code"));
      button.textContent = "↵";
      button.addEventListener("click", () => { wrap(!root.hasAttribute("data-wrap-code")); offer(); });
      block.append(button);
    }
  }

  offer();
  if (stored()) wrap(true);
  addEventListener("resize", offer);
  document.addEventListener("scroll", event => wider.includes(event.target) && fade(event.target), true);
  document.addEventListener("toggle", offer, true);
});
