/* Before anything is drawn: the theme that the reader chose on this machine. Without a choice the system's holds. */
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("sitrep-theme");
  } catch {
    return; // storage may be forbidden in a frame
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
