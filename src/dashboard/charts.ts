/** Two small time series: requests a second, and keys per node. uPlot comes from the gateway, as a script of its own. */
import type uPlotClass from "uplot";
import type { StateView } from "../gateway/admin/state.ts";
import { byId, colour } from "./dom.ts";

declare const uPlot: typeof uPlotClass;

/** Samples that are kept: five minutes of two a second. */
const MAX_SAMPLES = 600;
const HEIGHT = 170;

interface Sample {
  readonly at: number;
  readonly traffic: StateView["traffic"];
  readonly entries: ReadonlyMap<number, number>;
}

const samples: Sample[] = [];
let traffic: uPlotClass | undefined;
let keys: uPlotClass | undefined;
let keysOf = "";

export function showCharts(state: StateView): void {
  const entries = new Map(state.nodes.map((node) => [node.index, node.entries]));
  samples.push({ at: Date.now() / 1000, traffic: state.traffic, entries });
  if (samples.length > MAX_SAMPLES) samples.shift();
  const times = samples.map((sample) => sample.at);

  traffic ??= chart("traffic-chart", [
    series("hits", css("--good")),
    series("misses", css("--warn")),
    series("errors", css("--bad")),
  ]);
  traffic.setData([times, rates("hits"), rates("misses"), rates("errors")]);

  const nodes = state.nodes.map(({ index, name }) => ({ index, name }));
  const wanted = nodes.map((node) => node.name).join();
  if (keys === undefined || wanted !== keysOf) {
    keys?.destroy();
    keys = chart(
      "keys-chart",
      nodes.map((node) => series(node.name, colour(node.index))),
    );
    keysOf = wanted;
  }
  keys.setData([times, ...nodes.map((node) => samples.map((sample) => sample.entries.get(node.index) ?? null))]);
}

/** Drawn anew with the next state: a chart keeps the colours it was made with. */
export function forgetCharts(): void {
  traffic?.destroy();
  keys?.destroy();
  traffic = undefined;
  keys = undefined;
}

export function resizeCharts(): void {
  for (const [id, plot] of [
    ["traffic-chart", traffic],
    ["keys-chart", keys],
  ] as const) {
    plot?.setSize({ width: byId(id).clientWidth, height: HEIGHT });
  }
}

/** Per second, between each sample and the one before. */
function rates(name: "hits" | "misses" | "errors"): (number | null)[] {
  return samples.map((sample, i) => {
    const before = samples[i - 1];
    if (before === undefined) return null;
    return Math.max(0, sample.traffic[name] - before.traffic[name]) / Math.max(0.001, sample.at - before.at);
  });
}

function chart(id: string, lines: uPlotClass.Series[]): uPlotClass {
  const target = byId(id);
  const axis = { stroke: css("--soft"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid") } };
  const options: uPlotClass.Options = {
    width: target.clientWidth,
    height: HEIGHT,
    series: [{}, ...lines],
    axes: [axis, { ...axis, size: 60 }],
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    cursor: { drag: { x: false, y: false } },
  };
  return new uPlot(options, [[], ...lines.map(() => [])], target);
}

function series(label: string, stroke: string): uPlotClass.Series {
  return {
    label,
    stroke,
    width: 1.5,
    value: (_, value) => (value === null ? "" : Math.round(value).toLocaleString("en-US")),
  };
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
