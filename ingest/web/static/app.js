/* What every page has: the switch between light and dark, and links that leave a frame. */
"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const told = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.hidden = false;
  told();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("sitrep-theme", root.dataset.theme);
    } catch {
      /* forbidden in a frame: it lasts as long as the page */
    }
    told();
    document.dispatchEvent(new Event("themechange"));
  });

  /* Airflow shows these pages in a frame that may neither open a tab nor leave itself. The page around it is of the same
     origin and may: it follows a link of its own to the same place. */
  const leave = (event) => {
    const link = event.target.closest("a[target]");
    if (!link || event.button || event.defaultPrevented) return;
    let around;
    try {
      around = window.parent.document;
    } catch {
      return; // another origin's: the browser decides
    }
    const twin = around.createElement("a");
    twin.href = link.href;
    twin.target = link.target === "_top" ? "_self" : link.target;
    twin.rel = link.rel;
    around.body.append(twin);
    twin.click();
    twin.remove();
    event.preventDefault();
  };
  if (window.parent !== window) document.addEventListener("click", leave);
})();
