/** The dashboard's styles. */
export const STYLES = `
:root {
  --back: #f6f7f9; --panel: #fff; --text: #1b2027; --soft: #5b6573; --line: #d9dee5; --accent: #1f5fbf; --bad: #b3261e; --warn: #8a5a00; --good: #1c7a3e;
  --grid: #e6eaf0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12151a; --panel: #1b2027; --text: #e8ebef; --soft: #9aa5b4; --line: #323a45; --accent: #7db0ff; --bad: #ff8a80; --warn: #f0b95a; --good: #6fd394;
    --grid: #2a313b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--panel); padding: 8px; z-index: 1; }
header { display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: baseline; padding: 12px 20px; border-bottom: 1px solid var(--line); background: var(--panel); }
h1 { font-size: 18px; margin: 0; }
h2 { font-size: 13px; margin: 0 0 8px; text-transform: uppercase; letter-spacing: .05em; color: var(--soft); }
header p { margin: 0; }
#token-form { margin-left: auto; }
main { display: grid; gap: 14px; padding: 14px 20px; align-items: start; grid-template-columns: minmax(260px, 320px) 1fr 1fr;
  grid-template-rows: auto 1fr auto auto; grid-template-areas: "ring nodes nodes" "ring migration change" "locate traffic keys" "events events events"; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; min-width: 0; }
.ring { grid-area: ring; } .nodes { grid-area: nodes; } .migration { grid-area: migration; } .change { grid-area: change; }
.locate { grid-area: locate; } .traffic { grid-area: traffic; } .keys { grid-area: keys; } .events { grid-area: events; }
@media (max-width: 900px) {
  main { grid-template: none; grid-template-columns: 1fr; }
  main > section { grid-area: auto; }
}
#ring { width: 100%; display: block; }
#ring path { fill: none; }
#ring .moving { stroke-width: 9; }
@media (prefers-reduced-motion: no-preference) { #ring .moving { animation: pulse 1s ease-in-out infinite alternate; } }
@keyframes pulse { from { opacity: .35; } to { opacity: 1; } }
#ring text { fill: var(--text); font-size: 13px; text-anchor: middle; }
#ring .marker { stroke: var(--text); stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: 4px 8px 4px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number { text-align: right; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.up { color: var(--good); } .down { color: var(--bad); font-weight: 600; } .suspect, .unknown { color: var(--warn); }
.warn { color: var(--warn); } .error { color: var(--bad); }
#migration-error { margin: 6px 0 0; }
.note { color: var(--soft); margin: 6px 0 0; }
label { display: inline-flex; gap: 6px; align-items: center; margin: 0 12px 8px 0; }
label[hidden], [hidden] { display: none; }
input, select, button { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: 5px; padding: 4px 8px; }
button { cursor: pointer; border-color: var(--accent); color: var(--accent); }
button:disabled { opacity: .5; cursor: default; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.buttons { display: flex; gap: 8px; margin: 4px 0; }
progress { width: 260px; height: 14px; accent-color: var(--accent); }
#events { max-height: 220px; overflow-y: auto; margin: 0; padding: 0; list-style: none; }
#events li { padding: 2px 0; }
#events time { color: var(--soft); margin-right: 8px; }
.u-legend { font-size: 12px; }
`;
