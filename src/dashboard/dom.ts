/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The few things that every part of the dashboard does with the page. Text always goes in as text, never as markup. */

/** @throws Error when the page lacks the element */
export function byId<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as unknown as T;
}

export function element(name: string, text = "", className = ""): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  if (className !== "") made.className = className;
  return made;
}

export function svg(name: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A row of a table; numbers stand at the right. */
export function row(cells: readonly (string | number | Node)[]): HTMLElement {
  const made = element("tr");
  for (const cell of cells) {
    const td = element("td", "", typeof cell === "number" ? "number" : "");
    td.append(typeof cell === "number" ? cell.toLocaleString("en-US") : cell);
    made.append(td);
  }
  return made;
}

export function tableBody(id: string): HTMLElement {
  return byId(id).querySelector("tbody") as HTMLElement;
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** A small square in a node's colour, and its name. */
export function named(index: number, name: string): HTMLElement {
  const made = element("span");
  const swatch = element("span", "", "swatch");
  swatch.style.background = colour(index);
  swatch.setAttribute("aria-hidden", "true");
  made.append(swatch, name);
  return made;
}

const PALETTE = ["#3b7dd8", "#e08a1e", "#3aa76d", "#c2549d", "#8c6bd6", "#c8b022", "#2aa7b5", "#d9574f"];

/** The colour of a node, the same for ever: an index is never used again. */
export function colour(index: number): string {
  return PALETTE[index] ?? `hsl(${(index * 137.5) % 360} 55% 55%)`;
}
