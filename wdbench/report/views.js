"use strict";
// one view at a time: #id shows the view that holds the element of this id; #id?a=b hands parameters to the view
const views = (() => {
  const all = [...document.querySelectorAll(".view")];
  const links = [...document.querySelectorAll(".bar nav a")];
  const title = document.title;
  const rules = [];

  const draw = (root) => {
    for (const figure of root.querySelectorAll(".drawing > noscript")) figure.outerHTML = figure.textContent;
  };
  const route = () => {
    const [id, query] = decodeURIComponent(location.hash.slice(1)).split("?");
    return { id, parameters: new URLSearchParams(query || "") };
  };
  const show = (view) => {
    for (const one of all) one.classList.toggle("on", one === view);
    draw(view);
    const own = view.id === "stage" ? "slides" : view.classList.contains("claim") ? "board" : view.id;
    for (const link of links) {
      link.toggleAttribute("aria-current", false);
      if (link.hash !== "#" + own) continue;
      link.setAttribute("aria-current", "page");
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 24;
    }
    document.title = (view.dataset.title && view.id !== "board" ? view.dataset.title + " · " : "") + title;
  };
  const go = (first) => {
    follow(first);
    // the address changes before its view is drawn: what waits for the view waits for this
    document.body.dataset.drawn = location.hash;
  };
  const follow = (first) => {
    const { id, parameters } = route();
    if (id === "main") { document.getElementById("main").focus(); return; }
    if (rules.some((rule) => rule(id))) return;
    const target = document.getElementById(id);
    const view = (target && target.closest(".view")) || document.getElementById("board");
    const changed = !view.classList.contains("on");
    show(view);
    document.dispatchEvent(new CustomEvent("view", { detail: { id: view.id, parameters } }));
    if (target && target !== view) {
      if (target.closest("details")) target.closest("details").open = true;
      target.scrollIntoView();
    } else if (changed && !first) {
      scrollTo(0, 0);
      const heading = view.querySelector("h1");
      if (heading) heading.focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", () => go(false));
  // what is printed was perhaps never looked at
  addEventListener("beforeprint", () => { for (const view of document.querySelectorAll(".view.on")) draw(view); });
  return { show, draw, go, rules, route };
})();

(() => {
  const button = document.getElementById("theme");
  const themes = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];
  const kept = () => { try { return localStorage.getItem("wdbench-theme") || ""; } catch { return ""; } };
  const set = (name) => {
    const [value, sign, word] = themes.find((theme) => theme[0] === name) || themes[0];
    if (value) document.documentElement.dataset.theme = value; else delete document.documentElement.dataset.theme;
    button.textContent = sign;
    button.title = "Colours: " + word;
    button.setAttribute("aria-label", button.title);
    try { localStorage.setItem("wdbench-theme", value); } catch { /* a page from disk may have no storage */ }
    document.dispatchEvent(new CustomEvent("theme", { detail: value }));
  };
  if (!CSS.supports("color", "light-dark(#000, #fff)")) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const place = themes.findIndex((theme) => theme[0] === (document.documentElement.dataset.theme || ""));
    set(themes[(place + 1) % themes.length][0]);
  });
  set(kept());
})();
