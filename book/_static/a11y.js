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
  // The skip link leads to the text itself, not to the toolbar above it.
  each("a.skip-link, #pst-skip-link a", (node) => {
    const article = document.querySelector("article.bd-article");
    if (!article) return;
    article.id ||= "the-text";
    article.tabIndex = -1;
    node.setAttribute("href", `#${article.id}`);
  });
  // Dialogs without a name.
  const dialogs = {"#pst-search-dialog": "Search", "#pst-primary-sidebar-modal": "Pages", "#pst-secondary-sidebar-modal": "On this page"};
  Object.entries(dialogs).forEach(([selector, name]) => each(selector, (node) => node.setAttribute("aria-label", name)));
  each(".bd-docs-nav .current > a.current", (node) => node.setAttribute("aria-current", "page"));
  // What was copied is said, and the focus stays on the button.
  const said = document.createElement("div");
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  document.body.append(said);
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copybtn");
    if (!button) return;
    said.textContent = "";
    setTimeout(() => { button.focus(); said.textContent = "Copied"; }, 200);
  });
  // Roles that a bibliography's elements may not have.
  each(".citation-list[role], .citation[role]", (node) => node.removeAttribute("role"));
});

// The theme gives scrolling code a tab stop when the window changes its size, not when code is unfolded.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);

// The theme reports every change of color mode; the console is for errors.
console.log = ((log) => (...words) => String(words[0]).startsWith("[PST]") || log(...words))(console.log);
