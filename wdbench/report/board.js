(() => {
  const field = (id) => document.getElementById(id);
  const form = document.querySelector(".filters");
  const [search, family, verdict, dataset, sort] = ["search", "family", "verdict", "dataset", "sort"].map(field);
  const [shown, clear, flat, grouped] = ["shown", "clear", "flat", "families"].map(field);
  const rows = [...document.querySelectorAll(".row")];
  const homes = new Map(rows.map((row) => [row, row.parentElement]));
  const families = [...document.querySelectorAll(".family")];
  const tiles = [...document.querySelectorAll(".tile")];
  const order = [...verdict.options].map((option) => option.value);
  const texts = new Map(rows.map((row) => {
    const page = document.getElementById("claim-" + row.dataset.id);
    const said = [".source", ".registered", ".votes"].map((part) => page.querySelector(part)?.textContent || "");
    return [row, [row.textContent, ...said].join(" ").toLowerCase()];
  }));
  const effect = (row) => (row.dataset.effect === "" ? NaN : Number(row.dataset.effect));
  const by = (value) => (a, b) => {
    const [x, y] = [value(a), value(b)];
    return Number.isNaN(x) - Number.isNaN(y) || (Number.isNaN(x) ? 0 : x - y);
  };
  const sorts = {
    for: by((row) => -effect(row)), against: by(effect), size: by((row) => -Math.abs(effect(row))),
    verdict: by((row) => order.indexOf(row.dataset.verdict)),
    id: (a, b) => a.dataset.id.localeCompare(b.dataset.id, "en", { numeric: true }),
  };

  const arrange = () => {
    const compare = sorts[sort.value];
    flat.hidden = !compare;
    grouped.hidden = Boolean(compare);
    if (compare) flat.append(...rows.slice().sort(compare));
    else for (const row of rows) homes.get(row).append(row);
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !((!family.value || row.dataset.family === family.value)
        && (!verdict.value || row.dataset.verdict === verdict.value)
        && (!dataset.value || row.dataset.datasets.split(" ").includes(dataset.value))
        && words.every((word) => texts.get(row).includes(word)));
      count += row.hidden ? 0 : 1;
    }
    for (const part of families) part.hidden = !part.querySelector(".row:not([hidden])");
    for (const tile of tiles) tile.setAttribute("aria-pressed", String(tile.dataset.verdict === verdict.value));
    shown.textContent = count === rows.length ? `${count} claims` : count ? `${count} of ${rows.length} claims` : "no claim fits";
    clear.hidden = count === rows.length && !sort.value;
  };
  const fields = { search, family, verdict, dataset, sort };
  const tell = () => {
    const said = new URLSearchParams(Object.entries(fields).filter(([, one]) => one.value).map(([name, one]) => [name, one.value]));
    history.replaceState(null, "", "#board" + (said.size ? "?" + said : ""));
  };
  const update = (event) => { if (!event || event.target === sort) arrange(); filter(); tell(); };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const one of Object.values(fields)) one.addEventListener("input", update);
  for (const tile of tiles) {
    tile.addEventListener("click", () => { verdict.value = verdict.value === tile.dataset.verdict ? "" : tile.dataset.verdict; update(); });
  }
  clear.addEventListener("click", () => { for (const one of Object.values(fields)) one.value = ""; update(); search.focus(); });
  document.addEventListener("view", (event) => {
    if (event.detail.id !== "board" || ![...event.detail.parameters].length) return;
    for (const [name, one] of Object.entries(fields)) one.value = event.detail.parameters.get(name) || "";
    arrange();
    filter();
  });
  filter();
})();
