"use strict";
(() => {
  const form = document.querySelector(".filters");
  const claims = [...document.querySelectorAll(".claim")];
  const families = [...document.querySelectorAll(".family")];
  const [search, family, verdict, shown] = ["search", "family", "verdict", "shown"].map((id) => document.getElementById(id));
  // the text of a closed row is searched too, but read only once
  const texts = new Map();
  const textOf = (claim) => {
    if (!texts.has(claim)) texts.set(claim, (claim.id + " " + claim.textContent).toLowerCase());
    return texts.get(claim);
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const claim of claims) {
      const fits = (!family.value || claim.dataset.family === family.value)
        && (!verdict.value || claim.dataset.verdict === verdict.value)
        && (!words.length || words.every((word) => textOf(claim).includes(word)));
      claim.hidden = !fits;
      count += fits ? 1 : 0;
    }
    for (const part of families) part.hidden = !part.querySelector(".claim:not([hidden])");
    shown.textContent = `${count} of ${claims.length} shown`;
  };
  const openTarget = () => {
    const target = location.hash.startsWith("#claim-") && document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.hidden) { search.value = family.value = verdict.value = ""; filter(); }
    target.open = true;
    target.scrollIntoView();
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const field of [search, family, verdict]) field.addEventListener("input", filter);
  document.getElementById("open").addEventListener("click", () => claims.forEach((claim) => { if (!claim.hidden) claim.open = true; }));
  document.getElementById("close").addEventListener("click", () => claims.forEach((claim) => { claim.open = false; }));
  addEventListener("hashchange", openTarget);
  filter();
  openTarget();
})();
