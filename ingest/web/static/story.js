/* Esc goes back to the search. */
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.ctrlKey || event.metaKey || event.altKey) return;
  const back = document.querySelector(".back a");
  if (back) location.assign(back.href);
});
