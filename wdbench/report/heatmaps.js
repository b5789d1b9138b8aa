"use strict";
// The η × λ heatmaps.
interactive.begin(document.getElementById("heatmaps"), async () => {
  const [data, specs] = [await interactive.read("heatmaps-data"), await interactive.read("heatmaps-charts")];
  const { number, brief } = interactive;
  const root = document.getElementById("heatmaps"), choice = root.querySelector("select"), holder = root.querySelector(".panels");
  interactive.offer(choice, data.groups.map(group => group.label));

  const build = (tag, text = "", className = "") => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const each = panel => panel.rates.flatMap((lr, row) => panel.lambdas.map((lambda, column) => ({ lr, lambda, row, column, i: row * panel.lambdas.length + column })));
  const gone = (panel, i) => panel.loss[i] === null;
  const middle = (edges, i) => (edges[i] + edges[i + 1]) / 2;
  const at = (panel, i) => ({ lambda: panel.lambdas[i % panel.lambdas.length], lr: panel.rates[Math.floor(i / panel.lambdas.length)],
    x: Math.log10(panel.lambdas[i % panel.lambdas.length]), y: Math.log10(panel.rates[Math.floor(i / panel.lambdas.length)]) });
  const column = panel => { const width = panel.x[1] - panel.x[0]; return { right: panel.x[0] - 0.35 * width, left: panel.x[0] - 1.35 * width }; };

  const drawing = (panel, side) => {
    const runs = failed => failed ? `${failed} of ${panel.replicates} replicates` : "none";
    const cells = each(panel).filter(({ i }) => !gone(panel, i)).map(({ lr, lambda, row, column, i }) => ({ x: panel.x[column], x2: panel.x[column + 1],
      y: panel.y[row], y2: panel.y[row + 1], loss: panel.loss[i], lambda: brief(lambda), lr: brief(lr), shown: number(panel.loss[i]),
      runs: runs(panel.diverged[i]), chosen: `${panel.chosen[i]} of ${panel.replicates}` }));
    const diverged = each(panel).filter(({ i }) => panel.diverged[i]).map(({ row, column, i }) => ({ x: middle(panel.x, column), y: middle(panel.y, row),
      size: (gone(panel, i) ? 0.8 : 0.2) * side * side, stroke: gone(panel, i) ? "#8a8a8a" : "#ffffff" }));
    if (panel.plain) {
      const { left, right } = column(panel);
      panel.rates.forEach((lr, row) => {
        if (panel.plain[row] !== null) cells.push({ x: left, x2: right, y: panel.y[row], y2: panel.y[row + 1], loss: panel.plain[row], lambda: "0",
          lr: brief(lr), shown: number(panel.plain[row]), runs: runs(panel.plain_diverged[row]), chosen: "not among the choices" });
        if (panel.plain_diverged[row]) diverged.push({ x: (left + right) / 2, y: middle(panel.y, row),
          size: (panel.plain[row] === null ? 0.8 : 0.2) * side * side, stroke: panel.plain[row] === null ? "#8a8a8a" : "#ffffff" });
      });
    }
    return {
      cells, diverged,
      lines: panel.lines.flatMap(([line, x1, y1, x2, y2]) => [{ line, x: x1, y: y1 }, { line, x: x2, y: y2 }]),
      ridge: panel.ridge.map(i => at(panel, i)),
      choices: each(panel).filter(({ i }) => panel.chosen[i]).map(({ i }) => ({ ...at(panel, i), count: panel.chosen[i], share: panel.chosen[i] / panel.replicates })),
      best: panel.best === null ? [] : [at(panel, panel.best)],
    };
  };

  const table = panel => {
    const details = build("details", "", "more"), scroll = build("div", "", "scroll"), body = build("table"), head = build("tr");
    details.append(build("summary", "These losses as a table"));
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Median validation loss, ${panel.title}`);
    head.append(build("th", "η \\ λ"), ...panel.lambdas.map(lambda => Object.assign(build("th", brief(lambda)), { scope: "col" })));
    const lines = panel.rates.map((lr, row) => {
      const line = build("tr");
      line.append(Object.assign(build("th", brief(lr)), { scope: "row" }), ...panel.lambdas.map((_, column) => {
        const i = row * panel.lambdas.length + column;
        return build("td", (gone(panel, i) ? "diverged" : number(panel.loss[i])) + (panel.chosen[i] ? ` (${panel.chosen[i]})` : ""),
          gone(panel, i) ? "num lost" : "num");
      }));
      return line;
    }).reverse();
    const [top, rest] = [build("thead"), build("tbody")];
    top.append(head);
    rest.append(...lines);
    body.append(top, rest);
    scroll.append(body, build("p", "In brackets: how many replicates choose the cell.", "note"));
    details.append(scroll);
    return details;
  };

  const panelBox = async (panel, range) => {
    const box = build("div", "", "chart-card panel"), chart = build("div", "", "chart"), head = build("h2", `${panel.title} `);
    head.append(build("small", panel.rule ? `(${panel.rule})` : ""));
    const best = panel.best === null ? "No cell finished in more than half of the replicates." :
      `Lowest median ${number(panel.loss[panel.best])} at λ = ${brief(at(panel, panel.best).lambda)}, η = ${brief(at(panel, panel.best).lr)}; ` +
      `${panel.replicates} replicates, study ${panel.study}.`;
    const claims = panel.claims.length ? ` Claims that chose these cells: ${panel.claims.join(", ")}.` : "";
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `Validation loss over λ and η, ${panel.title}. ${best} The same numbers are in the table below it.`);
    box.append(head, chart, build("p", best + claims, "note"), table(panel));
    holder.append(box);
    const columns = panel.lambdas.length + (panel.plain ? 1.35 : 0);
    const side = Math.min((chart.clientWidth - 60) / columns, 250 / panel.rates.length);
    const left = panel.plain ? column(panel) : null, zero = left ? (left.left + left.right) / 2 : -99;
    const ticks = interactive.whole(panel.x[0], panel.x.at(-1)), rates = interactive.whole(panel.y[0], panel.y.at(-1));
    return interactive.draw(chart, specs.heatmap, drawing(panel, side), { zero, ticks: left ? [zero, ...ticks] : ticks, rates }, spec => {
      spec.scales.find(({ name }) => name === "color").domain = range;
      spec.scales.find(({ name }) => name === "x").domain = [left ? left.left : panel.x[0], panel.x.at(-1)];
      spec.scales.find(({ name }) => name === "y").domain = [panel.y[0], panel.y.at(-1)];
    });
  };

  const redraw = async () => {
    const group = data.groups.find(({ label }) => label === choice.value);
    interactive.clear(holder);
    const [low, high] = group.range;
    root.querySelector(".scale-low").textContent = number(low);
    root.querySelector(".scale-high").textContent = `${number(high)} and above`;
    let colours;
    for (const panel of group.panels) colours = (await panelBox(panel, group.range)).scale("color");
    const stops = Array.from({ length: 9 }, (_, i) => colours(low * (high / low) ** (i / 8)));
    root.querySelector(".scale-bar").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  };
  let last = Promise.resolve();
  const refresh = () => last = last.then(redraw, redraw);
  choice.addEventListener("change", refresh);
  interactive.onTheme(refresh);
  root.querySelector("form").hidden = false;
  await refresh();
});
