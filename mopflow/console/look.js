() => {
  // What a person sees of the page right now, as plain data. One call, nothing is changed.
  // Names follow the rules of accessible names; grids are HTML tables or ARIA grids.
  const squeeze = (text) => (text || "").replace(/\s+/g, " ").trim();
  const visible = (node) => node.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const byIds = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)).filter(Boolean)
    .map((node) => squeeze(node.textContent)).join(" ");
  const nameOf = (node) => {
    const labelled = node.getAttribute("aria-labelledby");
    if (labelled && byIds(labelled)) return byIds(labelled);
    if (node.getAttribute("aria-label")) return squeeze(node.getAttribute("aria-label"));
    if (node.labels && node.labels.length) return squeeze([...node.labels].map((l) => l.textContent).join(" "));
    if (node.getAttribute("alt")) return squeeze(node.getAttribute("alt"));
    if (node.localName === "input" && ["submit", "button"].includes(node.type)) return squeeze(node.value);
    if (!["input", "select", "textarea"].includes(node.localName) && squeeze(node.textContent)) {
      return squeeze(node.textContent);
    }
    return squeeze(node.getAttribute("title") || node.getAttribute("placeholder") || "");
  };
  const hintOf = (node) => {
    const described = node.getAttribute("aria-describedby");
    const hint = (described && byIds(described)) || node.getAttribute("aria-description") || node.title || "";
    return squeeze(hint) === nameOf(node) ? "" : squeeze(hint);
  };
  const dialogOf = (node) => node.closest("dialog, [role=dialog], [role=alertdialog]");
  const inDialog = (node) => dialogOf(node) !== null;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(visible);

  const boxOf = (node) => ({
    name: nameOf(node),
    ticked: node.localName === "input" ? node.checked : node.getAttribute("aria-checked") === "true",
    enabled: !node.disabled && node.getAttribute("aria-disabled") !== "true",
  });
  const BOXES = "input[type=checkbox], [role=checkbox]";
  const MARKS = "img, [role=img], svg[aria-label]";
  const HEADS = "th:not([scope=row]), [role=columnheader]";
  const CELLS = "td, th[scope=row], [role=gridcell], [role=cell], [role=rowheader]";
  const GRIDS = "table, [role=grid], [role=table], [role=treegrid]";

  const cellOf = (node) => ({
    text: node.innerText.split("\n").map(squeeze).filter(Boolean).join("\n"),
    marks: [...node.querySelectorAll(MARKS)].filter(visible).map(nameOf).filter(Boolean),
  });
  const gridOf = (grid) => {
    const own = (selector, root) => [...root.querySelectorAll(selector)].filter((n) => n.closest(GRIDS) === grid);
    const headings = own(HEADS, grid).map((head) => (visible(head) ? squeeze(head.innerText) : ""));
    const rows = [];
    for (const row of own("tr, [role=row]", grid)) {
      const cells = own(CELLS, row);
      if (!cells.length || !visible(row)) continue;
      let at = 0;
      const found = {};
      for (const cell of cells) {
        const index = Number(cell.getAttribute("aria-colindex"));
        if (index > 0) at = index - 1;
        const one = cellOf(cell);
        let span = Math.max(cell.colSpan || Number(cell.getAttribute("aria-colspan")) || 1, 1);
        if (cells.length === 1) { // a heading between the rows
          at = 0;
          span = headings.length;
        }
        for (let i = 0; i < Math.min(span, headings.length); i += 1) found[at + i] = one; // it stands under each
        at += span;
      }
      const selected = row.getAttribute("aria-selected");
      rows.push({
        cells: found,
        boxes: all(BOXES, row).map(boxOf),
        selected: selected === null ? null : selected === "true",
      });
    }
    return { headings, rows, in_dialog: inDialog(grid) };
  };

  const progressOf = (root) => {
    const bar = all("[role=progressbar], progress:not([aria-hidden=true])", root)[0];
    if (!bar) return null;
    return String(bar.getAttribute("aria-valuenow") ?? bar.value ?? "");
  };
  const dialogs = all("dialog, [role=dialog], [role=alertdialog]");
  const dialog = dialogs[dialogs.length - 1];
  const levelOne = all("h1, [role=heading][aria-level='1']");
  const facts = [];
  for (const term of all("dt")) {
    const value = term.nextElementSibling;
    if (value && value.localName === "dd") facts.push([squeeze(term.innerText), squeeze(value.innerText)]);
  }
  return {
    heading: levelOne.filter((node) => !inDialog(node)).map((node) => squeeze(node.innerText)).join(" / "),
    lines: document.body ? document.body.innerText.split("\n").map(squeeze).filter(Boolean) : [],
    facts,
    messages: all("[role=status], [role=alert]").filter((node) => squeeze(node.innerText))
      .map((node) => ({ role: node.getAttribute("role"), text: squeeze(node.innerText) })),
    dialogs: dialogs.length,
    dialog: dialog ? { name: nameOf(dialog), text: squeeze(dialog.innerText), progress: progressOf(dialog) } : null,
    tooltips: all("[role=tooltip]").map((node) => squeeze(node.innerText)).filter(Boolean),
    grids: all(GRIDS).map(gridOf).filter((grid) => grid.headings.some(Boolean)),
    buttons: all("button, input[type=submit], input[type=button], [role=button]").map((node) => ({
      name: nameOf(node),
      enabled: !node.disabled && node.getAttribute("aria-disabled") !== "true",
      hint: hintOf(node),
      in_dialog: inDialog(node),
    })),
    fields: all("input, select, textarea")
      .filter((node) => !["checkbox", "radio", "submit", "button", "hidden"].includes(node.type))
      .map((node) => ({
        name: nameOf(node),
        secret: node.type === "password",
        filled: Boolean(node.value),
        value: node.type === "password" ? "" : node.localName === "select"
          ? squeeze([...node.selectedOptions].map((option) => option.label).join(" ")) : node.value,
        in_dialog: inDialog(node),
        options: node.localName === "select" ? [...node.options].map((option) => squeeze(option.label)) : [],
      })),
  };
}
