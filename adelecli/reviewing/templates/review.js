"use strict";
// The review page: it shows what the server tells and sends decisions; it holds no truth of its own.
(() => {
  const $ = (id) => document.getElementById(id);
  const AHEAD = 3;      // slices asked for on each side of the one that is shown
  const KEPT = 120;     // slices kept in memory
  let cases = [], here = null, plane = null, index = 0, layer = "difference", target = "";
  let opening = null;              // the case that was asked for and is not shown yet
  let decided = Promise.resolve(); // decisions are sent one after the other, in the order of the keys
  const drawn = new Map();

  const ask = async (path, options) => {
    const answer = await fetch(path, options).catch(() => { throw new Error("the review has ended; start `adele review` again"); });
    const content = await answer.json().catch(() => ({ error: answer.statusText }));
    if (!answer.ok) throw new Error(content.error ?? answer.statusText);
    return content;
  };
  const bind = (text) => text.replaceAll(" %", "\u00a0%"); // no line begins with a percent sign
  const say = (text) => { $("said").textContent = text; };

  // ---- the queue
  const listQueue = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    $("queue").replaceChildren(...cases.filter((one) => {
      const text = `${one.id} ${one.status} ${one.word} ${one.reasons.join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    }).map((one) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.id = one.id;
      button.setAttribute("aria-current", String(one.id === here?.id));
      const id = Object.assign(document.createElement("span"), { className: "id", textContent: `${one.rank ?? "–"}  ${one.id} ` });
      const word = Object.assign(document.createElement("span"), { className: `badge ${one.word}`, textContent: one.word });
      const why = Object.assign(document.createElement("span"), { className: "why", textContent: bind(one.reasons.join("; ")) });
      button.append(id, word, why);
      button.addEventListener("click", () => openCase(one.id));
      item.append(button);
      return item;
    }));
    const done = cases.filter((one) => one.word).length;
    $("tally").textContent = `${done} of ${cases.length} cases decided`;
  };

  // ---- one case
  const openCase = async (id) => {
    opening = id;
    try {
      const described = await ask(`/api/cases/${encodeURIComponent(id)}`);
      if (opening !== id) return;          // another case was asked for in the meantime
      opening = null;
      show(described);
      target = "";
      plane = here.planes[0];
      index = plane.start;
      drawn.clear();
      listTargets(); choosePlane(plane.name); listQueue(); say("");
      document.querySelector('#queue [aria-current="true"]')?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (opening === id) opening = null;
      say(error.message);
    }
  };
  const show = (described) => {
    here = described;
    $("name").textContent = here.id;
    $("state").textContent = here.word || here.status;
    $("state").className = `badge ${here.word}`;
    $("why").textContent = bind(here.reasons.join("; "));
  };
  const listTargets = () => {
    const entries = [{ name: "", text: "the whole case", word: here.word }, ...here.classes.map((one) => ({ ...one, text: one.name }))];
    $("targets").replaceChildren(...entries.map((one) => {
      const label = document.createElement("label");
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: "target", value: one.name, checked: one.name === target });
      radio.addEventListener("change", () => { target = one.name; });
      const swatch = document.createElement("span");
      if (one.colour) { swatch.className = "swatch"; swatch.style.background = one.colour; }
      const word = Object.assign(document.createElement("span"), { className: `badge ${one.word}`, textContent: one.word });
      label.append(radio, swatch, one.text, word);
      if (one.before !== undefined) {
        const counts = `${one.before.toLocaleString("en")} → ${one.after.toLocaleString("en")} voxels`;
        label.append(Object.assign(document.createElement("span"), { className: "counts", textContent: counts }));
      }
      return label;
    }));
  };

  // ---- one slice
  const key = (at) => `${here.id}/${plane.name}/${at}`;
  const fetchSlice = (at) => {
    const name = key(at);
    if (!drawn.has(name)) {
      const promise = ask(`/api/cases/${encodeURIComponent(here.id)}/${plane.name}/${at}`);
      promise.catch(() => drawn.delete(name));
      drawn.set(name, promise);
      if (drawn.size > KEPT) drawn.delete(drawn.keys().next().value);
    }
    return drawn.get(name);
  };
  const showSlice = async (at) => {
    index = Math.min(Math.max(at, 0), plane.counts.length - 1);
    $("slice").value = index;
    $("place").textContent = `${index + 1} of ${plane.counts.length}`;
    const name = key(index);
    try {
      const slice = await fetchSlice(index);
      if (name !== key(index)) return;     // another slice was asked for in the meantime
      $("image").hidden = !slice.image;
      if (slice.image) $("image").src = slice.image;
      const shown = slice[layer] ?? slice.after;
      $("labels").src = shown;
      $("labels").alt = `${here.id}, ${plane.name} slice ${index + 1}: ${layer}`;
      $("stage").dataset.shown = `${name}/${layer}`;
      for (let step = 1; step <= AHEAD; step++)
        for (const next of [index + step, index - step])
          if (next >= 0 && next < plane.counts.length) fetchSlice(next);
    } catch (error) { say(error.message); }
  };
  const choosePlane = (name) => {
    plane = here.planes.find((one) => one.name === name) ?? here.planes[0];
    $("slice").max = plane.counts.length - 1;
    press("planes", here.planes.map((one) => one.name), plane.name, choosePlane);
    press("layers", ["before", "after", "difference"], layer, chooseLayer);
    ["l", "r", "t", "b"].forEach((side, at) => { document.querySelector(`.side.${side}`).textContent = plane.sides[at]; });
    drawStrip();
    showSlice(plane.start);
  };
  const chooseLayer = (name) => {
    layer = name;
    press("layers", ["before", "after", "difference"], layer, chooseLayer);
    showSlice(index);
  };
  const press = (id, names, pressed, act) => {
    $(id).replaceChildren(...names.map((name) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.setAttribute("aria-pressed", String(name === pressed));
      button.addEventListener("click", () => act(name));
      return button;
    }));
  };
  const drawStrip = () => {
    const canvas = $("strip"), most = Math.max(...plane.counts, 1);
    canvas.width = canvas.clientWidth || 600;
    const pen = canvas.getContext("2d"), width = canvas.width / plane.counts.length;
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    plane.counts.forEach((count, at) => {
      const height = count ? Math.max(2, 18 * count / most) : 0;
      pen.fillRect(at * width, 18 - height, Math.max(1, width - 1), height);
    });
  };

  // ---- decisions
  const decide = (word) => {
    if (!here) return;
    if (opening !== null) { say(`${opening} is being opened; nothing was decided`); return; } // the key was meant for what comes
    const wish = { case: here.id, word, part: target || null, note: $("note").value || null };
    $("note").value = "";
    decided = decided.then(() => send(wish));
  };
  const send = async (wish) => {
    try {
      const body = JSON.stringify(wish);
      const described = await ask("/api/decisions", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const about = wish.part ?? "the whole case";
      const told = { accept: "accepted", reject: "rejected, original labels are back", edit: "marked for editing", open: "word taken back" };
      cases.find((one) => one.id === wish.case).word = described.word;
      if (here.id === wish.case) showAgain(described);
      listQueue();
      say(`${wish.case}: ${about}: ${told[wish.word]}`);
    } catch (error) {
      $("note").value ||= wish.note ?? "";
      say(`${wish.case}: ${error.message}`);
    }
  };
  const showAgain = (described) => { // the case that is open, as it is after a decision; the slice stays
    show(described);
    drawn.clear();
    plane = here.planes.find((one) => one.name === plane.name);
    drawStrip(); listTargets(); showSlice(index);
  };
  for (const button of document.querySelectorAll("[data-word]")) button.addEventListener("click", () => decide(button.dataset.word));

  // ---- hands
  const setOverlay = () => {
    $("labels").style.opacity = $("overlay").checked ? $("opacity").value / 100 : 0;
  };
  $("overlay").addEventListener("change", setOverlay);
  $("opacity").addEventListener("input", setOverlay);
  $("slice").addEventListener("input", () => showSlice(Number($("slice").value)));
  $("strip").addEventListener("click", (event) => showSlice(Math.floor(event.offsetX / $("strip").clientWidth * plane.counts.length)));
  $("stage").addEventListener("wheel", (event) => { event.preventDefault(); showSlice(index + Math.sign(event.deltaY)); }, { passive: false });
  $("search").addEventListener("input", listQueue);

  const step = (by) => {
    const shown = [...document.querySelectorAll("#queue button")].map((one) => one.dataset.id);
    const at = Math.min(Math.max(shown.indexOf(opening ?? here?.id) + by, 0), shown.length - 1);
    if (shown.length) openCase(shown[at]);
  };
  const cycle = (names, now) => names[(names.indexOf(now) + 1) % names.length];
  const keys = {
    j: () => step(1), k: () => step(-1), m: () => showSlice(plane.start),
    ArrowUp: () => showSlice(index + 1), ArrowDown: () => showSlice(index - 1),
    PageUp: () => showSlice(index + 10), PageDown: () => showSlice(index - 10),
    p: () => choosePlane(cycle(here.planes.map((one) => one.name), plane.name)),
    l: () => chooseLayer(cycle(["before", "after", "difference"], layer)),
    o: () => { $("overlay").checked = !$("overlay").checked; setOverlay(); },
    "[": () => { $("opacity").value = Number($("opacity").value) - 10; setOverlay(); },
    "]": () => { $("opacity").value = Number($("opacity").value) + 10; setOverlay(); },
    c: () => { target = cycle(["", ...here.classes.map((one) => one.name)], target); listTargets(); },
    a: () => decide("accept"), r: () => decide("reject"), e: () => decide("edit"), u: () => decide("open"),
    "/": () => $("search").focus(),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && "aerucjk".includes(event.key)) return;
    if (event.target.matches("input[type=search], #note")) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    if (!keys[event.key] || (!here && event.key !== "/")) return;
    event.preventDefault();
    keys[event.key]();
  });

  (async () => {
    try {
      const told = await ask("/api/queue");
      cases = told.cases;
      $("store").textContent = `Review of ${told.store}`;
      document.title = `${told.store} – review – adele`;
      setOverlay(); listQueue();
      if (cases.length) await openCase(cases[0].id);
    } catch (error) { say(error.message); }
  })();
})();
