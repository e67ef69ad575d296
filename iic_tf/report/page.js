"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);

  // ------------------------------------------------------------------ names of clusters

  const inputs = new Map(all("input[data-cluster]").map((input) => [input.dataset.cluster, input]));
  const key = `iic-names-${data.key}`;
  const nameOf = (cluster) => inputs.get(String(cluster))?.value.trim() ?? "";
  const called = (cluster) => nameOf(cluster) || `Cluster ${cluster}`;

  function stored() {
    try {
      return JSON.parse(localStorage.getItem(key)) ?? {};
    } catch {
      return {};
    }
  }

  function names() {
    const found = {};
    for (const cluster of inputs.keys()) if (nameOf(cluster)) found[cluster] = nameOf(cluster);
    return found;
  }

  function show() {
    const found = names();
    const distinct = [...new Set(Object.values(found))].sort((a, b) => a.localeCompare(b));
    for (const place of all("[data-name-of]")) {
      const cluster = place.dataset.nameOf;
      place.textContent = nameOf(cluster) ? `${cluster} · ${nameOf(cluster)}` : place.dataset.unnamed;
    }
    for (const [cluster, input] of inputs) {
      const same = Object.keys(found).filter((c) => c !== cluster && found[c] === found[cluster]);
      const told = document.getElementById(`merged-${cluster}`);
      told.textContent = found[cluster] && same.length ? `Merged with ${same.join(", ")}` : "";
    }
    const known = document.getElementById("known-names");
    known?.replaceChildren(...distinct.map((name) => Object.assign(document.createElement("option"), { value: name })));
    const status = document.getElementById("naming-status");
    if (!status) return;
    const number = Object.keys(found).length;
    const merged = number - distinct.length;
    status.textContent = number
      ? `${number} of ${inputs.size} clusters named, ${distinct.length} different name${distinct.length === 1 ? "" : "s"}` +
        (merged ? ` (${merged} merged away).` : ".")
      : "No cluster has a name yet. Clusters with the same name are merged.";
    document.getElementById("download").disabled = !number;
    document.getElementById("clear").disabled = !number;
  }

  function changed() {
    try {
      localStorage.setItem(key, JSON.stringify(names()));
    } catch {
      // a page that may not store anything can still be downloaded from
    }
    show();
  }

  const before = { ...data.names, ...stored() };
  for (const [cluster, input] of inputs) {
    input.value = before[cluster] ?? "";
    input.addEventListener("input", changed);
  }

  for (const select of all("select[data-merge]")) {
    select.addEventListener("change", () => {
      const mine = inputs.get(select.dataset.merge);
      const other = inputs.get(select.value);
      if (other) {
        const name = other.value.trim() || mine.value.trim() || `cluster ${select.value}`;
        mine.value = other.value = name;
      }
      select.value = "";
      changed();
    });
  }

  document.getElementById("download")?.addEventListener("click", () => {
    const text = JSON.stringify({ clusters: names() }, null, 2) + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "names.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    document.getElementById("naming-status").textContent = "names.json is in your downloads. The command below reads it.";
  });

  document.getElementById("clear")?.addEventListener("click", () => {
    for (const input of inputs.values()) input.value = "";
    changed();
  });

  for (const button of all("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const before = button.textContent;
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => (button.textContent = before), 1500);
    });
  }

  show();

  // ----------------------------------------------------------------------------- the map

  const map = data.map;
  if (!map) return;
  const plot = document.getElementById("map");
  const dots = all("#map .point");
  const sprite = document.getElementById("sprite");
  const canvas = document.getElementById("looked-at");
  const slider = document.getElementById("map-image");
  const ring = svg("circle");
  ring.setAttribute("class", "ring");
  ring.setAttribute("r", "9");
  ring.setAttribute("visibility", "hidden");
  plot.append(ring);
  // the slider goes through a cluster from its surest image to its least sure one
  const order = map.points.map((_, i) => i);
  order.sort((a, b) => map.clusters[a] - map.clusters[b] || map.confidence[b] - map.confidence[a]);

  function look(i) {
    const [x, y] = map.points[i];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
    const side = map.square;
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    const [column, row] = [i % map.columns, Math.floor(i / map.columns)];
    context.drawImage(sprite, column * side, row * side, side, side, 0, 0, side, side);
    const told = `${called(map.clusters[i])}, confidence ${map.confidence[i].toFixed(2)}`;
    document.getElementById("looked-told").textContent = `${map.names[i]}: ${told}`;
    const link = document.getElementById("looked-link");
    link.href = `#cluster-${map.clusters[i]}`;
    link.textContent = `Go to cluster ${map.clusters[i]}`;
    slider.value = order.indexOf(i);
    slider.setAttribute("aria-valuetext", `${map.names[i]}, ${told}`);
  }

  function nearest(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    let [best, found] = [900, null];
    map.points.forEach(([x, y], i) => {
      const apart = (x - at.x) ** 2 + (y - at.y) ** 2;
      if (apart < best && !dots[i].classList.contains("faint")) [best, found] = [apart, i];
    });
    return found;
  }

  for (const kind of ["pointermove", "pointerdown"]) {
    plot.addEventListener(kind, (event) => {
      const i = nearest(event);
      if (i !== null) look(i);
    });
  }
  plot.addEventListener("dblclick", () => document.getElementById("looked-link").click());
  slider.addEventListener("input", () => look(order[slider.value]));
  document.getElementById("map-cluster").addEventListener("change", (event) => {
    const only = event.target.value;
    dots.forEach((dot, i) => dot.classList.toggle("faint", only !== "" && String(map.clusters[i]) !== only));
    const first = order.find((i) => only === "" || String(map.clusters[i]) === only);
    if (first !== undefined) look(first);
  });
  const start = () => look(order[0]);
  if (sprite.complete) start();
  else sprite.addEventListener("load", start);
})();
