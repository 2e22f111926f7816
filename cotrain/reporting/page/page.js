"use strict";
// No library and no request: the page opens from disk. Text from data goes into the page as text only.
const content = JSON.parse(document.getElementById("content").textContent);
const element = (name, text) => Object.assign(document.createElement(name), text === undefined ? {} : { textContent: text });

// ------------------------------------------------------------------------------------- tables
for (const button of document.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => {
    const title = button.parentElement, table = title.closest("table"), body = table.tBodies[0];
    const down = title.getAttribute("aria-sort") !== "descending", place = title.cellIndex;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[place], value = cell.dataset.value;
      return { row, number: value === undefined ? null : Number(value), text: cell.textContent.trim() };
    });
    rows.sort((a, b) => {
      if (a.number !== null && b.number !== null) return down ? b.number - a.number : a.number - b.number;
      // What has no number comes last.
      if (a.number !== null || b.number !== null) return a.number === null ? 1 : -1;
      return (down ? -1 : 1) * -a.text.localeCompare(b.text);
    });
    body.append(...rows.map((entry) => entry.row));
  });
}

// --------------------------------------------------------------------------------- confusions
const confusions = document.getElementById("confusions");
if (confusions) {
  const show = (select) => {
    const values = content.confusions[select.value], table = element("table"), head = element("tr");
    head.append(element("td"));
    for (const one of content.classes) {
      const title = element("th", one.name);
      title.scope = "col";
      head.append(title);
    }
    table.createTHead().append(head);
    const body = table.createTBody();
    values.forEach((row, label) => {
      const line = element("tr"), title = element("th", content.classes[label].name);
      title.scope = "row";
      line.append(title);
      row.forEach((value, prediction) => {
        const cell = element("td", value >= 0.05 ? value.toFixed(value < 10 ? 1 : 0) : "");
        cell.className = "number heat";
        cell.style.setProperty("--heat", value / 100);
        cell.title = `${content.classes[label].name} as ${content.classes[prediction].name}: ${value} %`;
        line.append(cell);
      });
      body.append(line);
    });
    select.closest("div").querySelector(".table").replaceChildren(table);
  };
  for (const select of confusions.querySelectorAll("select")) {
    select.addEventListener("change", () => show(select));
    show(select);
  }
}

// ------------------------------------------------------------------------------------- viewer
const viewer = document.getElementById("viewer");
if (viewer && content.galleries.length) {
  viewer.hidden = false;
  const find = (name) => viewer.querySelector(name);
  const [stage, zoomed, wipe, opacity] = [".stage", ".zoom", ".wipe", ".opacity"].map(find);
  const [left, right, order, thumbs] = [".left", ".right", ".order", ".thumbs"].map(find);
  const sides = [find(".side.a"), find(".side.b")];
  const state = { gallery: null, image: null, sequence: [], scale: 1, x: 0, y: 0 };
  // The photo shines through only a little: else a grey class would look like a photo without classes.
  opacity.value = 85;
  const suffix = { classes: ".png", error: ".png", confidence: ".jpg", photo: ".jpg" };
  const pathOf = (image, layer) =>
    `${content.pictures}/${image.place}/${layer.key.replaceAll("/", ".")}${suffix[layer.kind]}`;
  const keyOf = (image) => image.place.split("/").pop();

  for (const gallery of content.galleries) {
    const tab = element("button", `${gallery.title} (${gallery.images.length})`);
    tab.type = "button";
    tab.dataset.name = gallery.name;
    tab.addEventListener("click", () => open(gallery.name));
    find(".tabs").append(tab);
  }
  for (const one of content.classes) {
    const entry = element("li"), colour = element("i");
    colour.style.background = one.colour;
    entry.append(colour, one.name);
    find(".legend").append(entry);
  }

  function open(name, key, leftKey, rightKey) {
    const gallery = content.galleries.find((one) => one.name === name) || content.galleries[0];
    if (state.gallery !== gallery) {
      state.gallery = gallery;
      for (const tab of find(".tabs").children) tab.setAttribute("aria-pressed", tab.dataset.name === gallery.name);
      find(".about").textContent = gallery.text;
      order.replaceChildren(new Option("as in the list", ""), ...Object.keys(gallery.values).map((title) => new Option(title, title)));
      arrange();
      leftKey = leftKey || gallery.start[0];
      rightKey = rightKey || gallery.start[1];
      state.image = null;
    }
    const image = gallery.images.find((one) => keyOf(one) === key) || state.image || state.sequence[0];
    showImage(image, leftKey || left.value, rightKey || right.value);
  }

  function arrange() {
    const { images, values, ascending } = state.gallery, column = values[order.value];
    const places = images.map((_, place) => place);
    if (column) {
      const sign = ascending.includes(order.value) ? 1 : -1;
      places.sort((a, b) => {
        if (column[a] === null || column[b] === null) return (column[a] === null) - (column[b] === null);
        return sign * (column[a] - column[b]);
      });
    }
    state.sequence = places.map((place) => images[place]);
    thumbs.replaceChildren(
      ...state.sequence.map((image) => {
        const button = element("button"), picture = element("img");
        button.type = "button";
        picture.loading = "lazy";
        picture.decoding = "async";
        picture.width = Math.round((74 * image.width) / image.height);
        picture.height = 74;
        picture.src = `${content.pictures}/${image.place}/thumb.jpg`;
        picture.alt = image.name;
        button.append(picture);
        button.dataset.key = keyOf(image);
        button.addEventListener("click", () => showImage(image, left.value, right.value));
        return button;
      }),
    );
  }

  function showImage(image, leftKey, rightKey) {
    const layers = state.gallery.layers.filter((layer) => image.has.includes(layer.key));
    for (const [select, key] of [[left, leftKey], [right, rightKey]]) {
      select.replaceChildren(...layers.map((layer) => new Option(layer.title, layer.key)));
      select.value = layers.some((layer) => layer.key === key) ? key : layers[0].key;
    }
    if (state.image !== image) {
      state.image = image;
      resetZoom();
    }
    stage.classList.remove("broken");
    stage.style.aspectRatio = `${image.width} / ${image.height}`;
    stage.style.maxWidth = `calc(78vh * ${image.width / image.height})`;
    draw();
    for (const button of thumbs.children) {
      const here = button.dataset.key === keyOf(image);
      button.setAttribute("aria-pressed", here);
      if (here) thumbs.scrollTo({ left: button.offsetLeft - thumbs.offsetLeft - thumbs.clientWidth / 2 + button.clientWidth / 2 });
    }
    const place = state.sequence.indexOf(image), all = state.gallery.images.indexOf(image);
    const column = state.gallery.values[order.value];
    const value = column && column[all] !== null ? `, ${(100 * column[all]).toFixed(1)} %` : "";
    find(".which").textContent = `${place + 1} of ${state.sequence.length}: ${image.name}${value}`;
    find(".values tbody").replaceChildren(
      ...Object.entries(state.gallery.values).filter(([, values]) => values[all] !== null).map(([title, values]) => {
        const row = element("tr"), cell = element("td", `${(100 * values[all]).toFixed(1)} %`);
        cell.className = "number";
        row.append(element("th", title), cell);
        return row;
      }),
    );
  }

  function draw() {
    const image = state.image;
    [left, right].forEach((select, number) => {
      const layer = state.gallery.layers.find((one) => one.key === select.value);
      const [base, over] = sides[number].querySelectorAll("img");
      const isOver = layer.kind === "classes" || layer.kind === "error";
      const ground = isOver ? state.gallery.layers.find((one) => one.kind === "photo") : layer;
      base.src = pathOf(image, ground);
      base.alt = `${image.name}, ${layer.title}`;
      over.hidden = !isOver;
      if (isOver) over.src = pathOf(image, layer);
      over.style.opacity = opacity.value / 100;
      // Bright places would make a class look unlike its colour in the legend.
      base.style.filter = isOver ? "grayscale(1) brightness(0.7)" : "none";
      find(number ? ".right-tag" : ".left-tag").textContent = layer.title;
    });
    const hash = new URLSearchParams({ look: state.gallery.name, image: keyOf(image), left: left.value, right: right.value });
    find(".link").href = `#${hash}`;
    moveWipe();
  }

  const moveWipe = () => {
    // The divider stays where it is on the screen, whatever is zoomed.
    const at = ((wipe.value / 100) * stage.clientWidth - state.x) / state.scale / Math.max(stage.clientWidth, 1);
    const share = Math.min(Math.max(at, 0), 1) * 100;
    sides[1].style.clipPath = `inset(0 0 0 ${share}%)`;
    const divider = find(".divider");
    divider.style.left = `${share}%`;
    divider.style.width = `${2 / state.scale}px`;
  };
  const place = () => {
    const limit = (value, size) => Math.min(0, Math.max(value, size * (1 - state.scale)));
    state.x = limit(state.x, stage.clientWidth);
    state.y = limit(state.y, stage.clientHeight);
    zoomed.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.scale})`;
    stage.classList.toggle("large", state.scale > 1);
    moveWipe();
  };
  function resetZoom() {
    Object.assign(state, { scale: 1, x: 0, y: 0 });
    place();
  }
  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const scale = Math.min(16, Math.max(1, state.scale * factor));
    state.x = x - ((x - state.x) * scale) / state.scale;
    state.y = y - ((y - state.y) * scale) / state.scale;
    state.scale = scale;
    place();
  }
  const go = (steps) => {
    const { sequence, image } = state;
    showImage(sequence[(sequence.indexOf(image) + steps + sequence.length) % sequence.length], left.value, right.value);
  };
  const choose = (steps) => {
    right.selectedIndex = (right.selectedIndex + steps + right.length) % right.length;
    draw();
  };
  const slide = (steps) => {
    wipe.value = Number(wipe.value) + steps;
    moveWipe();
  };
  const keys = {
    ArrowLeft: () => go(-1), ArrowRight: () => go(1), ArrowUp: () => choose(-1), ArrowDown: () => choose(1),
    "[": () => slide(-5), "]": () => slide(5), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: resetZoom,
  };
  stage.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  for (const picture of stage.querySelectorAll("img")) picture.addEventListener("error", () => stage.classList.add("broken"));
  find(".previous").addEventListener("click", () => go(-1));
  find(".next").addEventListener("click", () => go(1));
  find(".in").addEventListener("click", () => zoom(1.5));
  find(".out").addEventListener("click", () => zoom(1 / 1.5));
  find(".fit").addEventListener("click", resetZoom);
  for (const select of [left, right]) select.addEventListener("change", draw);
  opacity.addEventListener("input", draw);
  wipe.addEventListener("input", moveWipe);
  order.addEventListener("change", () => {
    arrange();
    showImage(state.sequence[0], left.value, right.value);
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && state.scale === 1) return;
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    const box = stage.getBoundingClientRect();
    if (state.scale > 1) resetZoom();
    else zoom(4, event.clientX - box.left, event.clientY - box.top);
  });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const start = { x: event.clientX - state.x, y: event.clientY - state.y };
    const box = stage.getBoundingClientRect();
    const drag = state.scale > 1 && Math.abs(event.clientX - box.left - (wipe.value / 100) * box.width) > 24;
    const move = (moved) => {
      if (drag) {
        state.x = moved.clientX - start.x;
        state.y = moved.clientY - start.y;
        place();
      } else {
        wipe.value = (100 * (moved.clientX - box.left)) / box.width;
        moveWipe();
      }
    };
    const end = () => {
      stage.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) stage.removeEventListener(name, end);
    };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, end);
  });
  addEventListener("resize", place);

  const follow = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (!wanted.has("look")) return false;
    open(wanted.get("look"), wanted.get("image"), wanted.get("left"), wanted.get("right"));
    document.getElementById("look").scrollIntoView();
    return true;
  };
  addEventListener("hashchange", follow);
  if (!follow()) open(content.galleries[0].name);
}

// -------------------------------------------------------------------------- commands, printing
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "copied";
    } catch {
      // A page from disk may not write the clipboard everywhere: then the text is selected.
      getSelection().selectAllChildren(text);
    }
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not(.values)")) part.open = true;
});
