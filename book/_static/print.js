// Paper is light: a dark page turns light for as long as it is printed.
{
  const root = document.documentElement;
  let before = null;
  const light = () => {
    before ??= root.dataset.theme;
    root.dataset.theme = "light";
  };
  const back = () => {
    if (before !== null) root.dataset.theme = before;
    before = null;
  };
  addEventListener("beforeprint", light);
  addEventListener("afterprint", back);
  matchMedia("print").addEventListener("change", (change) => (change.matches ? light : back)());
}
