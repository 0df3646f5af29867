// Light, dark, or as the system has it. Kept in this browser.

import { byId, text } from "./dom.js";

const KEY = "pacer-theme";
const ORDER = ["system", "light", "dark"];

let theme = "system";

export function prepare() {
  try {
    theme = ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "system";
  } catch {
    // A browser that keeps nothing shows what the system has.
  }
  apply();
  byId("theme").addEventListener("click", next);
}

export function next() {
  theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is closed.
  }
  apply();
}

function apply() {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  text(byId("theme"), `Theme: ${theme}`);
}
