(() => {
  const stage = document.getElementById("stage");
  const part = (name) => stage.querySelector(name);
  const links = [...document.querySelectorAll("a.frame")];
  const frames = new Map(links.map((link, place) => [link.dataset.frame, place]));
  for (const link of links) link.href = "#" + link.dataset.frame;
  stage.hidden = false;
  let now = -1;

  const slide = (place) => links[place].closest(".slide");
  const open = (place) => {
    now = place;
    const link = links[place];
    const claim = document.getElementById("claim-" + link.dataset.claim);
    const mine = [...slide(place).querySelectorAll("a.frame")];
    const heading = part("h1");
    views.draw(claim);
    heading.innerHTML = claim.querySelector("h1").innerHTML;
    heading.classList.toggle("long", heading.textContent.length > 140);
    const said = claim.querySelector(".source").textContent.trim();
    const source = /^lecture s\d+$/.test(said) ? "" : " · " + said;
    part(".where").textContent = `${slide(place).dataset.title} · ${mine.indexOf(link) + 1} of ${mine.length} · ${link.dataset.claim}${source}`;
    part(".frame-read").textContent = claim.querySelector(".read")?.textContent.replace(/^Read as: /, "") || "";
    part(".frame-verdict").replaceChildren(claim.querySelector(".judged").cloneNode(true));
    // parts of a drawing are found by their ids, which must stay single: the drawing itself moves here, and back
    putBack();
    const drawing = claim.querySelector(".drawing > svg");
    stage.classList.toggle("bare", !drawing);
    if (drawing) { home = drawing.parentElement; part(".frame-figure").replaceChildren(drawing); }
    part(".numbers-link").href = "#claim-" + link.dataset.claim;
    part(".progress i").style.width = `${(100 * (place + 1)) / links.length}%`;
    part("#back").disabled = place === 0;
    part("#next").disabled = place === links.length - 1;
    stage.dataset.title = `${slide(place).dataset.title}: ${link.dataset.claim}`;
    views.show(stage);
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  };
  let home = null;
  const putBack = () => {
    const drawing = part(".frame-figure > svg");
    if (drawing && home) home.append(drawing);
    home = null;
  };
  // a second key may come before the first one's slide is drawn
  const to = (place) => { if (place >= 0 && place < links.length) location.hash = links[(now = place)].dataset.frame; };
  const turn = (step) => {
    let place = now;
    const here = slide(now);
    while (place >= 0 && place < links.length && slide(place) === here) place += step;
    if (place < 0 || place >= links.length) return;
    if (step < 0) place = links.indexOf(slide(place).querySelector("a.frame"));
    to(place);
  };
  const fill = () => { if (document.fullscreenElement) document.exitFullscreen(); else stage.requestFullscreen?.(); };
  const keys = {
    ArrowRight: () => to(now + 1), PageDown: () => to(now + 1), " ": () => to(now + 1), ArrowLeft: () => to(now - 1), PageUp: () => to(now - 1),
    ArrowDown: () => turn(1), ArrowUp: () => turn(-1), Home: () => to(0), End: () => to(links.length - 1), f: fill, F: fill,
    Escape: () => { if (!document.fullscreenElement) location.hash = slide(now).id; },
  };

  views.rules.push((id) => {
    if (!frames.has(id)) { putBack(); return false; }
    open(frames.get(id));
    return true;
  });
  part("#back").addEventListener("click", () => to(now - 1));
  part("#next").addEventListener("click", () => to(now + 1));
  part("#full").addEventListener("click", fill);
  addEventListener("keydown", (event) => {
    if (!stage.classList.contains("on") || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
