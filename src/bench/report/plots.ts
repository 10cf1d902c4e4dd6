/** Bar charts as SVG text, by hand: some rectangles and labels need no library. Colours follow the reader's light or dark mode. Pure. */

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** A thin line over the bar: the rounds from the least to the most. */
  readonly low?: number;
  readonly high?: number;
  /** Drawn in the colour of what the chart is about. */
  readonly strong?: boolean;
}

export interface Group {
  readonly label: string;
  readonly bars: readonly Bar[];
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly Group[];
  /** A dashed line, where a target or a yardstick lies. */
  readonly mark?: number;
}

const WIDTH = 760;
const LABELS = 190;
const VALUES = 70;
const BAR = 14;
const BAR_GAP = 4;
const GROUP_GAP = 26;
const TOP = 44;
const SPAN = WIDTH - LABELS - VALUES;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 } .group { font-weight: 600 } .quiet { fill: #57606a }
  .bar { fill: #9db2c8 } .strong { fill: #1f6feb } .spread, .axis { stroke: #57606a } .mark { stroke: #cf222e; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 } .bar { fill: #5a6b7d } .strong { fill: #4493f8 }
    .spread, .axis { stroke: #9198a1 } .mark { stroke: #f85149 }
  }`;

/** Horizontal bars, all on one scale from 0. */
export function barChart({ title, unit, groups, mark }: Chart): string {
  const all = groups.flatMap(({ bars }) => bars.flatMap(({ value, high }) => [value, high ?? value]));
  const most = Math.max(...all, mark ?? 0, Number.MIN_VALUE);
  const scale = (value: number) => (value / most) * SPAN;
  const parts: string[] = [];
  let y = TOP;
  for (const { label, bars } of groups) {
    y += GROUP_GAP - BAR_GAP;
    parts.push(text(8, y - 6, label, "group"));
    for (const bar of bars) {
      parts.push(...barParts(bar, y, scale));
      y += BAR + BAR_GAP;
    }
  }
  const height = y + 16;
  const line = (x: number, name: string) =>
    `<line class="${name}" x1="${n(x)}" x2="${n(x)}" y1="${TOP}" y2="${height - 10}"/>`;
  const marks = mark === undefined ? "" : line(LABELS + scale(mark), "mark");
  const head = `${text(8, 20, title, "title")}${text(8, 37, unit, "quiet")}${line(LABELS, "axis")}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title><style>${STYLE}</style>`,
    head,
    ...parts,
    `${marks}</svg>\n`,
  ].join("\n");
}

function barParts({ name, value, low, high, strong }: Bar, y: number, scale: (value: number) => number): string[] {
  const middle = y + BAR / 2;
  const width = Math.max(scale(value), 0.5);
  const parts = [
    text(LABELS - 8, y + BAR - 3, name, "", "end"),
    `<rect class="${strong ? "strong" : "bar"}" x="${LABELS}" y="${y}" width="${n(width)}" height="${BAR}" rx="2"/>`,
  ];
  let end = width;
  if (low !== undefined && high !== undefined) {
    const [from, to] = [LABELS + scale(low), LABELS + scale(high)];
    parts.push(`<line class="spread" x1="${n(from)}" x2="${n(to)}" y1="${middle}" y2="${middle}"/>`);
    end = Math.max(end, scale(high));
  }
  parts.push(text(LABELS + end + 6, y + BAR - 3, short(value), "quiet"));
  return parts;
}

/** 1234567 is 1.23 M: three digits are as many as the figures deserve. */
export function short(value: number): string {
  if (value >= 999_500) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 1000) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, content: string, name: string, anchor = "start"): string {
  const kind = name === "" ? "" : ` class="${name}"`;
  return `<text x="${n(x)}" y="${n(y)}"${kind} text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
