/* What every page has: the switch between light and dark. */
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
})();
