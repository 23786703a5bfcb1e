// Pages of the report by the address's hash, the theme, and the list of keys.
"use strict";

const page = (() => {
  const sections = [...document.querySelectorAll("main > [data-page]")];
  const links = [...document.querySelectorAll("header [data-page]")];
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const help = document.getElementById("help");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");

  /** The part of the hash before "?": "viewer", "results", or an element's id. */
  const place = () => {
    const given = location.hash.slice(1).split("?")[0];
    try {
      return decodeURIComponent(given);
    } catch {
      return given; // a "%" without an escape
    }
  };

  function show() {
    const target = document.getElementById(place());
    const section = target?.closest("main > [data-page]") ?? sections[0];
    for (const each of sections) each.hidden = each !== section;
    for (const link of links) {
      if (link.dataset.page === section.dataset.page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (target && target !== section) target.scrollIntoView();
    else scrollTo(0, 0);
  }

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

  function setTheme(name) {
    if (name) root.dataset.theme = name;
    theme.setAttribute("aria-pressed", String(isDark()));
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  }

  function toggleTheme() {
    const name = isDark() ? "light" : "dark";
    setTheme(name);
    try {
      localStorage.setItem("kc-theme", name);
    } catch {
      // some browsers store nothing for files: the choice then lasts as long as the page
    }
  }

  function remembered() {
    try {
      return localStorage.getItem("kc-theme");
    } catch {
      return null;
    }
  }

  setTheme(["light", "dark"].find((name) => name === remembered()));
  prefersDark.addEventListener("change", () => setTheme());
  theme.addEventListener("click", toggleTheme);
  document.getElementById("help-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === "?") help.showModal();
    else if (event.key === "d" && event.target.tagName !== "SELECT") toggleTheme();
  });
  addEventListener("hashchange", show);
  show();
  return { place };
})();
