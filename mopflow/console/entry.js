// The one visible entry (link, button, menu item, tab, tree item) with one of these names; null when there is none.
// With `group` it is sought in the nearest part of the page around that entry that holds other entries as well.
([group, names, within]) => {
  const ENTRIES = "a, button, summary, [role=link], [role=button], [role=menuitem], [role=menuitemradio], "
    + "[role=menuitemcheckbox], [role=treeitem], [role=tab]";
  const plain = (text) => (text || "").replace(/\s+/g, " ").trim().toLowerCase();
  const wanted = new Set(names.map(plain));
  const visible = (node) => node.checkVisibility({ visibilityProperty: true });
  const ownText = (node) => {
    const copy = node.cloneNode(true);
    for (const inner of copy.querySelectorAll("ul, ol, [role=group], [role=menu]")) inner.remove();
    return copy.textContent;
  };
  const nameOf = (node) => plain(node.getAttribute("aria-label") || ownText(node) || node.title);
  const around = (node) => {
    const ids = (node.getAttribute("aria-controls") || node.getAttribute("aria-owns") || "").split(/\s+/);
    const controlled = ids.map((id) => id && document.getElementById(id)).find(Boolean);
    if (controlled) return controlled;
    let place = node;
    do place = place.parentElement;
    while (place.parentElement && [...place.querySelectorAll(ENTRIES)].every((other) => other === node));
    return place;
  };
  let roots = [document];
  if (group) roots = [around(group)];
  else if (within === "navigation") {
    const landmarks = [...document.querySelectorAll("nav, [role=navigation], [role=menubar]")].filter(visible);
    if (landmarks.length) roots = landmarks;
  }
  const found = new Set();
  for (const root of roots) {
    for (const node of root.querySelectorAll(ENTRIES)) {
      if (node !== group && visible(node) && wanted.has(nameOf(node))) found.add(node);
    }
  }
  for (const node of [...found]) { // an entry inside an entry of the same name is one and the same
    if ([...found].some((other) => other !== node && node.contains(other))) found.delete(node);
  }
  if (found.size > 1) throw new Error(`ambiguous: ${found.size} entries named ${names.join(" or ")}`);
  return [...found][0] || null;
}
