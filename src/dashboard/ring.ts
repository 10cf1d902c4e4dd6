/** The ring as coloured arcs: one path a node, the moving arcs outside it, a mark where a key was located. And the same as a table. */
import type { DrawnArc, RingView } from "../gateway/admin/ring-view.ts";
import { get } from "./api.ts";
import { byId, colour, named, percent, row, svg, tableBody, wordsOf } from "./dom.ts";

const END = 2 ** 32;
const RADIUS = 92;
const OUTSIDE = 112;

let shown = "";
let mark: number | undefined;
let latest: RingView | undefined;

/** Fetches and draws the ring where it is another than the one shown. One that cannot be had is asked for again at the next call. */
export async function showRing(epoch: number, phase: string): Promise<void> {
  const wanted = `${epoch} ${phase}`;
  if (wanted === shown) return;
  shown = wanted;
  let ring: RingView;
  try {
    ring = await get<RingView>("/api/ring");
  } catch (error) {
    if (wanted !== shown) return;
    shown = "";
    byId("ring-text").textContent = `The ring was not to be had: ${wordsOf(error)}`;
    return;
  }
  if (wanted !== shown) return; // a newer one has been asked for
  latest = ring;
  draw();
}

/** Marks a place on the ring: the point of a located key. */
export function markPoint(point: number): void {
  mark = point;
  draw();
}

function draw(): void {
  if (latest === undefined) return;
  const { nodes, arcs, moving, points } = latest;
  const drawing = byId<SVGElement>("ring");
  const paths = nodes.map(({ index }, place) => {
    return svg("path", { d: pathOf(arcs, place, RADIUS), stroke: colour(index), "stroke-width": "22" });
  });
  const outside = nodes.flatMap(({ index }, place) => {
    const d = pathOf(moving, place, OUTSIDE);
    return d === "" ? [] : [svg("path", { d, stroke: colour(index), class: "moving" })];
  });
  const count = svg("text", { y: "-2" });
  count.textContent = `${nodes.length} nodes`;
  const size = svg("text", { y: "16" });
  size.textContent = `${points.toLocaleString("en-US")} points`;
  drawing.replaceChildren(...paths, ...outside, count, size, ...marker());
  const share = moving.reduce((sum, [from, to]) => sum + to - from, 0) / END;
  byId("ring-text").textContent =
    moving.length === 0
      ? "No arc is moving."
      : `${percent(share)} of the ring is moving (outer arcs, in the colour of the new owner).`;
  tableBody("ring-table").replaceChildren(...nodes.map((node, place) => tableRow(node, place)));
}

function tableRow(node: RingView["nodes"][number], place: number): HTMLElement {
  const { arcs, moving } = latest!;
  const arriving = moving.filter((arc) => arc[2] === place).reduce((sum, [from, to]) => sum + to - from, 0) / END;
  const own = arcs.filter((arc) => arc[2] === place).length;
  return row([
    named(node.index, node.name),
    node.points,
    own,
    percent(node.share),
    arriving === 0 ? "" : percent(arriving),
  ]);
}

function marker(): SVGElement[] {
  if (mark === undefined) return [];
  const [x, y] = at(mark, 1);
  const [from, to] = [RADIUS - 16, RADIUS + 16];
  return [
    svg("line", {
      class: "marker",
      x1: String(x * from),
      y1: String(y * from),
      x2: String(x * to),
      y2: String(y * to),
    }),
  ];
}

/** All arcs of one node, as one path. */
function pathOf(arcs: readonly DrawnArc[], place: number, radius: number): string {
  return arcs
    .filter((arc) => arc[2] === place)
    .map(([from, to]) => {
      const large = to - from > END / 2 ? 1 : 0;
      // a whole circle begins and ends at one place, where SVG would draw nothing
      const end = to - from >= END - 1 ? to - 2 ** 20 : to;
      return `M${point(from + 1, radius)}A${radius} ${radius} 0 ${large} 1 ${point(end + 1, radius)}`;
    })
    .join("");
}

function point(hash: number, radius: number): string {
  const [x, y] = at(hash, radius);
  return `${x.toFixed(3)} ${y.toFixed(3)}`;
}

/** Hash 0 is at the top; they grow clockwise. */
function at(hash: number, radius: number): [x: number, y: number] {
  const angle = (hash / END) * 2 * Math.PI - Math.PI / 2;
  return [Math.cos(angle) * radius, Math.sin(angle) * radius];
}
