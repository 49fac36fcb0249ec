"use strict";
(() => {
  const body = document.body;
  const page = body.dataset.page;
  const style = body.dataset.style;
  const region = document.getElementById("region");
  const messages = document.getElementById("messages");
  const ticked = new Set(); // names of the boxes that a person has ticked
  let state = {}; // what the server last said about the buttons of the Upgrade Manager
  let filterName = "";
  let filterKind = "";
  const hiddenColumns = new Set();

  // ---- small helpers -------------------------------------------------------------------------
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null) continue;
      node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  };

  const say = (text, good) => {
    const node = make("p", { role: good ? "status" : "alert", class: good ? "message" : "message bad" });
    messages.replaceChildren(node);
    node.textContent = text; // set after insertion, so that a screen reader speaks it
  };
  const hush = () => messages.replaceChildren();

  class Gone extends Error {}

  const call = async (path, payload) => {
    let answer;
    try {
      answer = await fetch(path, payload === undefined
        ? { headers: { Accept: "application/json" } }
        : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(payload) });
      if (answer.status === 401) {
        location.assign("/mi/login");
        return new Promise(() => {}); // the page is on its way out
      }
      return await answer.json();
    } catch {
      throw new Gone("The server did not answer.");
    }
  };

  // ---- navigation ----------------------------------------------------------------------------
  for (const button of document.querySelectorAll("nav button[aria-expanded]")) {
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      button.nextElementSibling.hidden = !open;
    });
  }

  // ---- menus: click in the table style, hover in the grid style -------------------------------
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll(".menu")) {
      if (menu === except) continue;
      menu.querySelector("[role=menu]").hidden = true;
      menu.querySelector("[aria-haspopup]").setAttribute("aria-expanded", "false");
    }
  };
  const openMenu = (menu) => {
    const button = menu.querySelector("[aria-haspopup]");
    if (button.disabled) return;
    closeMenus(menu);
    menu.querySelector("[role=menu]").hidden = false;
    button.setAttribute("aria-expanded", "true");
  };
  for (const menu of document.querySelectorAll(".menu")) {
    const button = menu.querySelector("[aria-haspopup]");
    if (style === "grid") {
      menu.addEventListener("mouseenter", () => openMenu(menu));
      menu.addEventListener("mouseleave", () => closeMenus());
      button.addEventListener("click", () => openMenu(menu)); // keyboard
    } else {
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-expanded") === "true") closeMenus();
        else openMenu(menu);
      });
    }
    menu.addEventListener("click", (event) => {
      const item = event.target.closest("[data-item]");
      if (item) chosen(menu.dataset.menu, item);
    });
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".menu")) closeMenus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeMenus();
  });

  // ---- dialogs -------------------------------------------------------------------------------
  let number = 0;
  const openDialog = (title, content, buttons) => {
    const id = `dialog-${++number}`;
    const bar = make("div", { class: "buttons" });
    const dialog = make("div", { class: "dialog", role: "dialog", "aria-modal": "true", "aria-labelledby": id },
      make("h2", { id }, title), make("div", { class: "body" }, ...content));
    const veil = make("div", { class: "veil" }, dialog);
    const before = document.activeElement;
    const handle = {
      dialog,
      close() {
        veil.remove();
        if (before && before.isConnected) before.focus();
      },
      busy(on) {
        for (const button of bar.querySelectorAll("button")) button.disabled = on;
      },
    };
    for (const { label, run, cancel } of buttons) {
      const button = make("button", { type: "button" }, label);
      if (cancel) button.dataset.cancel = "";
      button.addEventListener("click", () => (run ? run(handle, button) : handle.close()));
      bar.append(button);
    }
    if (buttons.length) dialog.append(bar);
    veil.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        const cancel = dialog.querySelector("[data-cancel]");
        if (cancel && !cancel.disabled) handle.close();
      }
      if (event.key === "Tab") {
        const stops = [...dialog.querySelectorAll("button:enabled, input, select, [tabindex='0']")];
        if (!stops.length) return;
        const last = stops[stops.length - 1];
        if (event.shiftKey && document.activeElement === stops[0]) { last.focus(); event.preventDefault(); }
        else if (!event.shiftKey && document.activeElement === last) { stops[0].focus(); event.preventDefault(); }
      }
    });
    body.append(veil);
    const first = dialog.querySelector(".field input, .field select, .buttons button");
    if (first) first.focus();
    return handle;
  };

  const fieldOf = (field) => {
    const id = `field-${++number}`;
    const input = field.options
      ? make("select", { id, name: field.name }, ...field.options.map((option) => make("option", {}, option)))
      : make("input", { id, name: field.name, type: field.type, autocomplete: "off" });
    return make("div", { class: "field" }, make("label", { for: id }, field.label), input);
  };

  const valuesOf = (dialog) => Object.fromEntries(
    [...dialog.querySelectorAll(".field input, .field select")].map((input) => [input.name, input.value]));

  // ---- acts: the server says what will be done, OK sends back the token of exactly that -----------
  const ask = async (wish) => {
    hush();
    let offer;
    try {
      offer = await call("/mi/act/prepare", wish);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      say(error.message, false);
      return;
    }
    if (offer.error) {
      say(`Operation failed: ${offer.error}`, false);
      refresh();
      return;
    }
    openDialog(offer.title, [make("p", {}, offer.text), ...offer.fields.map(fieldOf)], [
      { label: offer.ok, run: (handle) => carryOut(offer, handle) },
      { label: "Cancel", cancel: true },
    ]);
  };

  const carryOut = async (offer, handle) => {
    handle.busy(true);
    try {
      const result = await call("/mi/act/perform", { token: offer.token, form: valuesOf(handle.dialog) });
      handle.close();
      if (result.error) say(`Operation failed: ${result.error}`, false);
      else if (result.watch) await watch(offer, result.bar);
      else say(result.message, true);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      handle.close();
      say(error.message, false);
    }
    refresh();
  };

  const watch = async (offer, visible) => {
    const fill = make("span");
    const bar = make("div", { role: "progressbar", "aria-label": offer.title, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, fill);
    const handle = visible ? openDialog(offer.title, [make("p", {}, "The configuration is being applied."), bar], []) : null;
    try {
      for (;;) {
        const now = await call("/mi/act/progress", { token: offer.token });
        bar.setAttribute("aria-valuenow", String(now.percent));
        fill.style.width = `${now.percent}%`;
        if (now.done) {
          if (now.error) say(`Operation failed: ${now.error}`, false);
          else say(now.message, true);
          return;
        }
        await new Promise((go) => setTimeout(go, pause() / 4));
      }
    } finally {
      if (handle) handle.close();
    }
  };

  // ---- ticks ---------------------------------------------------------------------------------
  const boxes = () => [...region.querySelectorAll("input.tick")];
  const nameOf = (box) => box.dataset.server || box.dataset.cluster;
  const rowOf = (node) => node.closest("tr, [role=row]");

  const showTicks = () => {
    for (const box of boxes()) {
      box.checked = ticked.has(nameOf(box));
      rowOf(box).classList.toggle("ticked", box.checked);
    }
  };

  region.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.matches("input.tick")) return;
    const name = nameOf(box);
    if (page === "upgrade/manager") {
      ticked.clear(); // one cluster at a time
      if (box.checked) ticked.add(name);
    } else {
      const mark = (one) => (box.checked ? ticked.add(one) : ticked.delete(one));
      mark(name);
      const mates = boxes().filter((other) => other.dataset.server && other.dataset.cluster === box.dataset.cluster);
      if (!box.dataset.server) mates.filter((mate) => !rowOf(mate).hidden).forEach((mate) => mark(mate.dataset.server));
      else if (mates.every((mate) => ticked.has(mate.dataset.server))) ticked.add(box.dataset.cluster);
      else ticked.delete(box.dataset.cluster);
    }
    showTicks();
    showButtons();
    if (page === "upgrade/manager") refresh();
  });

  const tickedServers = () => boxes().filter((box) => box.dataset.server && box.checked).map((box) => box.dataset.server);

  // ---- filters and columns ---------------------------------------------------------------------
  const applyView = (root) => {
    const rows = [...root.querySelectorAll("tbody tr, [role=row]:not(.head)")];
    const wanted = filterName.toLowerCase();
    const clusters = new Set(rows
      .filter((row) => (row.dataset.server || row.dataset.cluster).toLowerCase().includes(wanted))
      .map((row) => row.dataset.cluster));
    for (const row of rows) {
      row.hidden = (wanted !== "" && !clusters.has(row.dataset.cluster)) || (filterKind !== "" && row.dataset.kind !== filterKind);
    }
    for (const row of root.querySelectorAll("tr, [role=row]")) {
      if (row.children.length > 1) [...row.children].forEach((cell, at) => { cell.hidden = hiddenColumns.has(at); });
    }
    const grid = root.querySelector("div.grid");
    if (grid && hiddenColumns.size) {
      const left = grid.querySelector(".head").children.length - hiddenColumns.size;
      grid.style.gridTemplateColumns = `repeat(${left}, auto)`;
    } else if (grid) grid.style.gridTemplateColumns = "";
  };

  const narrow = () => {
    applyView(region);
    for (const box of boxes()) if (rowOf(box).hidden) ticked.delete(nameOf(box)); // nothing out of sight stays chosen
    showTicks();
    showButtons();
  };

  // ---- the periodic refresh changes only what is different, so ticks and open menus stay -----------
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old.childNodes.length !== fresh.childNodes.length) { old.replaceChildren(...fresh.childNodes); return; }
    const pairs = [...old.childNodes].map((child, at) => [child, fresh.childNodes[at]]);
    for (const [a, b] of pairs) morph(a, b);
  };

  const pause = () => 1000 * Number(body.dataset.seconds);
  let timer = 0;
  let running = null;
  let shown = null; // the region as the server rendered it last
  const contact = document.getElementById("contact");
  const quiet = contact.textContent;
  const write = (node, text) => {
    if (node.textContent !== text) node.textContent = text; // the same text, too, would be drawn anew
  };

  const load = async () => {
    let answer;
    try {
      answer = await call(`/mi/fragment/${page}`);
      write(contact, quiet);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      contact.textContent = "There is no contact with the server at the moment.";
      return;
    }
    if (answer.region !== shown) {
      const fresh = region.cloneNode(false);
      fresh.innerHTML = answer.region; // rendered and escaped by the server
      applyView(fresh);
      for (const box of fresh.querySelectorAll("input.tick")) rowOf(box).classList.toggle("ticked", ticked.has(nameOf(box)));
      morph(region, fresh);
      shown = answer.region;
    }
    state = answer.state;
    write(document.getElementById("summary"), answer.summary);
    showTicks();
    showButtons();
  };

  const refresh = () => {
    clearTimeout(timer);
    const again = async () => {
      try {
        await load();
      } finally {
        running = null;
        clearTimeout(timer);
        timer = setTimeout(refresh, pause());
      }
    };
    running = running ? running.then(again, again) : again(); // a wish during a reading gets a later reading
    return running;
  };

  // ---- Upgrade Manager -------------------------------------------------------------------------
  const byId = (id) => document.getElementById(id);

  const dress = (button, look) => {
    if (button.textContent !== look.label) button.textContent = look.label;
    if (button.disabled === look.enabled) button.disabled = !look.enabled;
    if (look.hover) { if (button.title !== look.hover) button.title = look.hover; }
    else button.removeAttribute("title");
  };

  const showButtons = () => {
    if (page !== "upgrade/manager" || !state.clusters) return;
    const [name] = ticked;
    const looks = state.clusters[name] || state.nothing;
    dress(byId("upgrade"), looks.upgrade);
    dress(byId("rollback"), looks.rollback);
    byId("log").disabled = !state.clusters[name];
    const iso = `Current ISO: ${state.iso}`;
    if (byId("iso").textContent !== iso) byId("iso").textContent = iso;
    const menu = document.querySelector("[data-menu=optional]");
    menu.querySelector("[aria-haspopup]").disabled = !looks.optional.length;
    const list = menu.querySelector("[role=menu]");
    const texts = JSON.stringify(looks.optional);
    if (list.dataset.texts !== texts) {
      list.dataset.texts = texts;
      list.replaceChildren(...looks.optional.map((text) =>
        make("button", { type: "button", role: "menuitem", "data-item": text }, text)));
      if (!looks.optional.length) closeMenus();
    }
  };

  const showFragment = async (title, path, buttons) => {
    hush();
    try {
      const answer = await call(path);
      const holder = make("div");
      holder.innerHTML = answer.region; // rendered and escaped by the server
      return openDialog(title, [holder], buttons);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      say(error.message, false);
      return null;
    }
  };

  const showKits = async () => {
    let path = null;
    const handle = await showFragment("Current ISO", "/mi/fragment/upgrade/kits", [
      { label: "Cancel", cancel: true },
      { label: "Select", run: (self) => {
        if (path === null) return;
        self.close();
        ask({ button: "select_iso", path });
      } },
    ]);
    if (!handle) return;
    const select = [...handle.dialog.querySelectorAll(".buttons button")].pop();
    select.disabled = true;
    const mark = (row) => {
      for (const other of handle.dialog.querySelectorAll("[aria-selected]")) other.setAttribute("aria-selected", String(other === row));
      path = row.dataset.key;
      select.disabled = false;
    };
    handle.dialog.addEventListener("click", (event) => {
      const row = event.target.closest("[aria-selected]");
      if (row) mark(row);
    });
    handle.dialog.addEventListener("keydown", (event) => {
      const row = event.target.closest("[aria-selected]");
      if (row && (event.key === "Enter" || event.key === " ")) mark(row);
    });
  };

  const showFilter = () => {
    const field = fieldOf({ name: "name", label: "Name", type: "text" });
    field.querySelector("input").value = filterName;
    const apply = (value) => (handle) => { filterName = value(); handle.close(); narrow(); };
    const use = apply(() => field.querySelector("input").value.trim());
    const handle = openDialog("Filter", [field], [
      { label: "OK", run: use },
      { label: "Clear", run: apply(() => "") },
      { label: "Cancel", cancel: true },
    ]);
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") use(handle); });
  };

  if (byId("manager")) {
    byId("upgrade").addEventListener("click", () => ask({ button: "upgrade", cluster: [...ticked][0] }));
    byId("rollback").addEventListener("click", () => ask({ button: "rollback", cluster: [...ticked][0] }));
    byId("log").addEventListener("click", () =>
      showFragment("Upgrade Log", `/mi/fragment/upgrade/log/${encodeURIComponent([...ticked][0])}`, [{ label: "Close", cancel: true }]));
    byId("iso").addEventListener("click", showKits);
    byId("filter").addEventListener("click", showFilter);
  }

  // ---- menus of ISO Maintenance and System Maintenance, buttons of a cluster's page ------------------
  const chosen = (menu, item) => {
    if (menu === "optional") {
      closeMenus();
      ask({ button: "optional", cluster: [...ticked][0], choice: item.dataset.item });
    } else if (menu === "operations") {
      closeMenus();
      ask({ button: item.dataset.item, servers: tickedServers() });
    } else if (menu === "filters") {
      filterKind = item.dataset.item;
      for (const other of item.parentElement.children) other.setAttribute("aria-checked", String(other === item));
      closeMenus();
      narrow();
    } else if (menu === "columns") {
      const at = Number(item.dataset.item);
      if (hiddenColumns.has(at)) hiddenColumns.delete(at);
      else hiddenColumns.add(at);
      item.setAttribute("aria-checked", String(!hiddenColumns.has(at)));
      applyView(region);
    }
  };

  for (const button of document.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => ask({ button: button.dataset.act, cluster: body.dataset.cluster }));
  }

  document.documentElement.classList.add("ready"); // from here on every button does what it says
  refresh();
})();
