// What the theme leaves undone for accessibility.
document.addEventListener("DOMContentLoaded", () => {
  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);
  // The logo and title stand outside every landmark.
  each(".sidebar-primary-item:has(> .navbar-brand)", (node) => {
    node.setAttribute("role", "navigation");
    node.setAttribute("aria-label", "Home");
  });
  // "Toggle hidden content" hides the summary's own words, which say what is hidden.
  each("details.hide > summary[aria-label]", (node) => node.removeAttribute("aria-label"));
  // What opens the pages below a page has an arrow alone.
  each(".bd-docs-nav summary:has(> .toctree-toggle)", (node) => {
    const page = node.closest("li").querySelector("a").textContent.trim();
    node.setAttribute("aria-label", `Pages below ${page}`);
  });
  // Roles that a bibliography's elements may not have.
  each(".citation-list[role], .citation[role]", (node) => node.removeAttribute("role"));
});

// The theme gives scrolling code a tab stop when the window changes its size, not when code is unfolded.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);

// The theme reports every change of color mode; the console is for errors.
console.log = ((log) => (...words) => String(words[0]).startsWith("[PST]") || log(...words))(console.log);
