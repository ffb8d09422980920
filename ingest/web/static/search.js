/* The search page works without this; with it, a filter applies at once and the keyboard goes through the hits. */
"use strict";
(() => {
  const form = document.getElementById("search");
  const box = document.getElementById("q");
  const FOCUS = "sitrep-focus";
  const hits = () => [...document.querySelectorAll(".hit h2 a")];

  /* an address without what says nothing */
  form.addEventListener("submit", () => {
    for (const field of form.elements) {
      if (field.name && field.value === "") field.disabled = true;
    }
    setTimeout(() => [...form.elements].forEach((field) => (field.disabled = false)));
  });

  form.addEventListener("change", (event) => {
    const field = event.target;
    if (field === box) return;
    /* while a year is typed, it is one of the first century */
    if (field.type === "date" && field.value && (field.value < "1000" || !field.checkValidity())) return;
    try {
      sessionStorage.setItem(FOCUS, JSON.stringify([field.name, field.value]));
    } catch {
      /* forbidden in a frame: the focus goes to the top */
    }
    form.requestSubmit();
  });

  try {
    const [name, value] = JSON.parse(sessionStorage.getItem(FOCUS) || "[]");
    sessionStorage.removeItem(FOCUS);
    const field = [...form.elements].find(
      (each) => each.name === name && (each.type !== "checkbox" || each.value === value),
    );
    if (field) field.focus({ preventScroll: true });
  } catch {
    /* nothing was kept */
  }

  if (matchMedia("(max-width: 56rem)").matches) document.getElementById("filters").open = false;

  const isTyping = (target) => target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable;

  const move = (step) => {
    const links = hits();
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
    links[next].focus();
    links[next].closest(".hit").scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      document.activeElement.blur();
      return;
    }
    if (isTyping(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      move(event.key === "j" ? 1 : -1);
    }
  });
})();
