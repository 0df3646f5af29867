// Elements, made and kept. Whatever comes from the gateway becomes text or an attribute here and nothing else, so that no
// name of a route can become markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Makes an element: attributes by name, then children: elements, or text. Children that are null are left out. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an element of a picture. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) attribute(element, name, value);
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Sets an attribute when it is another; takes it away when the value is null. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/** Sets the text when it is another: what did not change is not laid out again, and not read out again. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Shows or hides. */
export function show(element, is) {
  if (element.hidden === is) element.hidden = !is;
}

/** Replaces what is in an element when what it shows is another: `state` says what that is. */
export function replace(element, state, make) {
  const known = JSON.stringify(state);
  if (element.shown === known) return;
  element.shown = known;
  element.replaceChildren(...[make()].flat(Infinity).filter((child) => child !== null && child !== false));
}

/** Has a child for each item, in order; a child is kept while its key is. */
export function list(parent, items, key, make, update) {
  const known = parent.known ?? new Map();
  const next = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    if (next.has(name)) continue;
    const child = known.get(name) ?? make(item);
    next.set(name, child);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const [name, child] of known) if (!next.has(name)) child.remove();
  // What was there before the first list is not of it.
  const kept = new Set(next.values());
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  parent.known = next;
}
