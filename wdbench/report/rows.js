// the rows of a claim as CSV, made here from what the page holds
(() => {
  const held = JSON.parse(document.getElementById("rows").textContent);
  const words = { verdicts: "its verdicts", effects: "one effect a block", selected: "the cells behind it" };

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const { n, names, columns } = JSON.parse(await new Response(stream).text());
    const full = [];
    for (const column of columns) {
      if (Array.isArray(column)) full.push(column);
      else if ("all" in column) full.push(Array(n).fill(column.all));
      else if ("of" in column) full.push(column.at.map((place) => column.of[place]));
      else full.push(full[column.as].map((value, row) => (row in column.but ? column.but[row] : value)));
    }
    return { n, names, columns: full };
  };
  const cell = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = ({ n, names, columns }) => {
    const lines = [names.map(cell).join(",")];
    for (let row = 0; row < n; row += 1) lines.push(columns.map((column) => cell(column[row])).join(","));
    return lines.join("\n") + "\n";
  };
  const save = (name, parts, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  // a drawing by itself: with the letters and the colours that it shares with the others in this page
  const alone = (drawing) => {
    const copy = drawing.cloneNode(true);
    const used = new Set([...copy.querySelectorAll("use")].map((use) => use.getAttribute("href")));
    const letters = [...document.querySelectorAll(".letters path")].filter((path) => used.has("#" + path.id)).map((path) => path.outerHTML);
    const looks = new Set([...copy.querySelectorAll("[class]")].map((one) => "." + one.getAttribute("class")));
    const rules = [...document.styleSheets[0].cssRules].filter((rule) => looks.has(rule.selectorText)).map((rule) => rule.cssText);
    copy.insertAdjacentHTML("afterbegin", `<style>:where(*){stroke-linejoin:round;stroke-linecap:butt}${rules.join("")}</style><defs>${letters.join("")}</defs>`);
    return new XMLSerializer().serializeToString(copy);
  };

  for (const place of document.querySelectorAll(".downloads")) {
    const id = place.dataset.claim;
    const button = (text, act) => {
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = text;
      one.addEventListener("click", act);
      place.append(one);
      place.hidden = false;
      return one;
    };
    if (typeof DecompressionStream !== "undefined") {
      for (const table of Object.keys(held[id] || {})) {
        button(`${id}.${table}.csv`, async () => save(`${id}.${table}.csv`, [csv(await unpack(held[id][table]))], "text/csv")).title = words[table];
      }
    }
    const claim = place.closest(".claim");
    if (claim.querySelector(".drawing")) {
      button(`${id}.svg`, () => { views.draw(claim); save(`${id}.svg`, [alone(claim.querySelector(".drawing > svg"))], "image/svg+xml"); }).title = "the figure";
    }
  }
})();

document.documentElement.classList.add("ready");
views.go(true);
