"use strict";
// The review page: it shows what the server tells and sends decisions; it holds no truth of its own.
(() => {
  const $ = (id) => document.getElementById(id);
  const AHEAD = 3;      // slices asked for on each side of the one that is shown
  const KEPT = 120;     // slices kept in memory
  const MOST = 6;       // reasons that are told of a case
  const FEW = 12;       // classes whose colours are told below the picture; all are told beside the decision
  const CHANGES = ["added", "removed", "relabelled"];
  let cases = [], here = null, plane = null, index = 0, layer = "difference", target = "";
  let wanted = layer;              // the layer that was chosen; a case in which nothing changed has no difference to show
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
  const make = (kind, given, ...parts) => { const one = Object.assign(document.createElement(kind), given); one.append(...parts); return one; };

  // ---- the queue
  const listQueue = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    $("queue").replaceChildren(...cases.filter((one) => {
      if ($("undecided").checked && one.word) return false;
      const text = `${one.id} ${one.status} ${one.word} ${one.reasons.join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    }).map((one) => {
      const button = make("button", { type: "button" },
        make("span", { className: "id" }, `${one.rank ?? "–"}  ${one.id} `),
        make("span", { className: `badge ${one.word}` }, one.word),
        make("span", { className: "why" }, bind(one.reasons.join("; "))));
      button.dataset.id = one.id;
      button.onclick = () => openCase(one.id);
      button.setAttribute("aria-current", String(one.id === here?.id));
      return make("li", {}, button);
    }));
    const done = cases.filter((one) => one.word).length;
    $("tally").textContent = `${done} of ${cases.length} cases decided`;
  };

  // ---- one case
  const openCase = async (id, remember = "pushState") => {
    opening = id;
    try {
      const described = await ask(`/api/cases/${encodeURIComponent(id)}`);
      if (opening !== id) return;          // another case was asked for in the meantime
      opening = null;
      if (remember) history[remember](null, "", `#${encodeURIComponent(id)}`); // the back button leads to the case before
      show(described);
      target = "";
      layer = here.planes[0].counts.some(Boolean) ? wanted : "after";
      drawn.clear();
      listTargets(); choosePlane(plane?.name); listQueue(); say("");
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
    $("why").textContent = bind(here.reasons.slice(0, MOST).join("; "));
    if (here.reasons.length > MOST) $("why").append(`; and ${here.reasons.length - MOST} more`);
    Object.assign($("about"), { textContent: here.about, hidden: !here.about });
  };
  const listTargets = () => {
    const entries = [{ name: "", text: "the whole case", word: here.word }, ...here.classes.map((one) => ({ ...one, text: one.name }))];
    $("targets").replaceChildren(...entries.map((one) => {
      const radio = make("input", { type: "radio", name: "target", value: one.name, checked: one.name === target });
      radio.onchange = () => { target = one.name; tellTarget(); };
      const label = make("label", {}, radio, colour(one.colour), one.text, make("span", { className: `badge ${one.word}` }, one.word));
      if (one.before !== undefined) {
        const [before, after] = [one.before, one.after].map((size) => Math.round(size).toLocaleString("en"));
        label.append(make("span", { className: "counts" }, `${before} → ${after} ${here.unit}`));
      }
      return label;
    }));
    tellTarget();
  };
  const tellTarget = () => { $("target").textContent = `${here.id}: ${target || "the whole case"}`; };
  const colour = (value) => {
    const swatch = make("span", { className: value ? "swatch" : "" });
    if (value) swatch.style.background = value;
    return swatch;
  };
  const drawLegend = () => {
    const changes = CHANGES.map((what) => [make("span", { className: `swatch ${what}` }), what]);
    const classes = here.classes.length > FEW ? [["colours: beside the decision"]] : here.classes.map((one) => [colour(one.colour), one.name]);
    $("legend").replaceChildren(...(layer === "difference" ? changes : classes).map((parts) => make("li", {}, ...parts)));
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
    const count = plane.counts[index];
    $("changed").textContent = `${count ? count.toLocaleString("en") : "no"} ${here.unit === "px" ? "pixel" : "voxel"}${count === 1 ? "" : "s"}`;
    drawStrip();
    const name = key(index);
    try {
      const slice = await fetchSlice(index);
      if (name !== key(index)) return;     // another slice was asked for in the meantime
      $("film").hidden = false;
      $("image").hidden = !slice.image;
      if (slice.image) $("image").src = slice.image;
      if (slice.width !== size.width || slice.height !== size.height) { size = slice; place(); }
      const shown = slice[layer] ?? slice.after;
      $("labels").src = shown;
      $("labels").alt = `${here.id}, ${plane.name} slice ${index + 1}: ${layer}`;
      $("stage").dataset.shown = `${name}/${layer}`;
      for (let step = 1; step <= AHEAD; step++)
        for (const next of [index + step, index - step])
          if (next >= 0 && next < plane.counts.length) fetchSlice(next).catch(() => {}); // it is told when it is wanted
    } catch (error) {
      if (name === key(index)) $("film").hidden = true; // no other slice may stand below this number
      say(error.message);
    }
  };
  const choosePlane = (name) => {
    plane = here.planes.find((one) => one.name === name) ?? here.planes[0];
    $("slice").max = plane.counts.length - 1;
    press("planes", here.planes.map((one) => one.name), plane.name, choosePlane);
    press("layers", ["before", "after", "difference"], layer, chooseLayer);
    ["l", "r", "t", "b"].forEach((side, at) => { document.querySelector(`.side.${side}`).textContent = plane.sides[at]; });
    drawLegend(); place();
    showSlice(plane.start);
  };
  const chooseLayer = (name) => {
    layer = wanted = name;
    press("layers", ["before", "after", "difference"], layer, chooseLayer);
    drawLegend();
    showSlice(index);
  };
  const press = (id, names, pressed, act) => {
    $(id).replaceChildren(...names.map((name) => {
      const button = make("button", { type: "button", onclick: () => act(name) }, name);
      button.setAttribute("aria-pressed", String(name === pressed));
      return button;
    }));
  };
  const drawStrip = () => picture.drawStrip($("strip"), plane.counts, index);

  // ---- how the picture lies on the stage, and how bright it is
  let size = { width: 1, height: 1 }, near = false, contrast = 1, light = 1;
  const place = () => {
    picture.place($("stage"), $("film"), $("labels"), size, plane.box, near);
    $("zoom").setAttribute("aria-pressed", String(near));
  };
  const zoom = () => { near = !near; place(); };
  const setGrey = (sharp, bright) => {
    contrast = Math.min(Math.max(sharp, 0.5), 8);
    light = Math.min(Math.max(bright, 0.2), 4);
    $("grey").hidden = contrast === 1 && light === 1;
    $("image").style.filter = $("grey").hidden ? "" : `brightness(${light}) contrast(${contrast})`;
  };

  // ---- decisions
  const decide = (word) => {
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
    listTargets(); showSlice(index);
  };
  const lookAgain = async () => { // another tab, or another program, may have decided in the meantime
    if (document.hidden || !here) return;
    try {
      cases = (await ask("/api/queue")).cases;
      const described = await ask(`/api/cases/${encodeURIComponent(here.id)}`);
      if (described.id === here.id && opening === null) showAgain(described);
      listQueue();
    } catch (error) { say(error.message); }
  };
  document.addEventListener("visibilitychange", lookAgain);
  for (const button of document.querySelectorAll("[data-word]")) button.addEventListener("click", () => { if (here) decide(button.dataset.word); });

  // ---- hands
  const setOverlay = () => { $("labels").style.opacity = $("overlay").checked ? $("opacity").value / 100 : 0; };
  $("overlay").addEventListener("change", setOverlay);
  $("opacity").addEventListener("input", setOverlay);
  $("slice").addEventListener("input", () => showSlice(Number($("slice").value)));
  $("strip").addEventListener("click", (event) => showSlice(Math.floor(event.offsetX / $("strip").clientWidth * plane.counts.length)));
  let rolled = 0; // a wheel turns by notches, a touchpad by many small steps
  $("stage").addEventListener("wheel", (event) => {
    if (event.ctrlKey || !here) return;
    event.preventDefault();
    rolled = Math.sign(rolled) === Math.sign(event.deltaY) ? rolled + event.deltaY : event.deltaY;
    if (event.deltaMode || Math.abs(rolled) >= 50) { showSlice(index + Math.sign(rolled)); rolled = 0; }
  }, { passive: false });
  $("stage").addEventListener("pointermove", (event) => {
    if (event.buttons === 1 && event.pointerType === "mouse") setGrey(contrast * 1.01 ** event.movementX, light * 1.01 ** -event.movementY);
  });
  $("zoom").addEventListener("click", zoom);
  $("grey").addEventListener("click", () => setGrey(1, 1));
  $("search").addEventListener("input", listQueue);
  $("undecided").addEventListener("change", listQueue);
  new ResizeObserver(() => { if (plane) { place(); drawStrip(); } }).observe($("stage"));
  // What the mouse has set must not keep the arrow keys from the slices.
  for (const id of ["slice", "opacity", "targets"]) $(id).addEventListener("click", (event) => { if (event.detail) $("stage").focus({ preventScroll: true }); });
  addEventListener("popstate", () => { if (cases.length && readMark() !== here?.id) openCase(readMark(), null); });
  const readMark = () => (cases.find((one) => `#${encodeURIComponent(one.id)}` === location.hash) ?? cases[0]).id;

  const step = (by) => {
    const shown = [...document.querySelectorAll("#queue button")].map((one) => one.dataset.id);
    const at = Math.min(Math.max(shown.indexOf(opening ?? here?.id) + by, 0), shown.length - 1);
    if (shown.length) openCase(shown[at]);
  };
  const goOn = () => {
    const at = cases.findIndex((one) => one.id === (opening ?? here.id));
    const next = [...cases.slice(at + 1), ...cases.slice(0, at)].find((one) => !one.word);
    if (next) openCase(next.id); else say("no other case is undecided");
  };
  const cycle = (names, now) => names[(names.indexOf(now) + 1) % names.length];
  const keys = {
    n: goOn, z: zoom, ",": () => setGrey(contrast / 1.25, light), ".": () => setGrey(contrast * 1.25, light),
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
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && "aerucjkn".includes(event.key)) return;
    if (event.target.matches("input[type=search], #note")) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.target.matches("input[type=range], input[type=radio]") && event.key.startsWith("Arrow")) return;
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
      if (!cases.length) say("this store has no case to review");
      else await openCase(location.hash ? readMark() : (cases.find((one) => !one.word) ?? cases[0]).id, "replaceState");
    } catch (error) { say(error.message); }
  })();
})();
