/** The dashboard's page. No inline script or style: the policy of the admin port allows none. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>ringshift</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/uplot.css">
<link rel="stylesheet" href="/assets/styles.css">
<script src="/assets/uplot.js" defer></script>
<script src="/assets/main.js" type="module"></script>
</head>
<body>
<a class="skip" href="#nodes">Skip to the nodes</a>
<header>
  <h1>ringshift</h1>
  <p id="summary">Loading</p>
  <p id="connection" role="status">Connecting</p>
  <form id="token-form" autocomplete="off">
    <label>Token for changes <input id="token" type="password" autocomplete="off" spellcheck="false"></label>
  </form>
</header>
<main>
  <section aria-labelledby="ring-title" class="ring">
    <h2 id="ring-title">Ring</h2>
    <svg id="ring" viewBox="-130 -130 260 260" role="img" aria-labelledby="ring-title ring-text"></svg>
    <p id="ring-text" class="note"></p>
    <details>
      <summary>The ring as a table</summary>
      <table id="ring-table"><thead><tr><th scope="col">Node</th><th scope="col">Points</th><th scope="col">Arcs</th><th scope="col">Share</th><th scope="col">Arriving</th></tr></thead><tbody></tbody></table>
    </details>
  </section>
  <section aria-labelledby="nodes-title" class="nodes">
    <h2 id="nodes-title">Nodes</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="nodes-title">
    <table id="nodes"><thead><tr>
      <th scope="col">Index</th><th scope="col">Node</th><th scope="col">State</th><th scope="col">Size</th><th scope="col">Share</th>
      <th scope="col">Share of keys</th><th scope="col">Keys</th><th scope="col">Memory</th><th scope="col">Evictions</th><th scope="col">Hit ratio</th><th scope="col">Latency</th>
    </tr></thead><tbody></tbody></table>
    </div>
  </section>
  <section aria-labelledby="migration-title" class="migration">
    <h2 id="migration-title">Migration</h2>
    <p id="migration-text" aria-live="polite">None is under way.</p>
    <div id="migration-detail" hidden>
      <label>Sets <progress id="migration-bar" max="1" value="0"></progress></label>
      <p id="migration-numbers" class="note"></p>
      <p class="buttons"><button id="pause" type="button">Pause</button><button id="resume" type="button">Resume</button><button id="abort" type="button">Abort</button></p>
      <p id="migration-error" class="error" role="status"></p>
    </div>
  </section>
  <section aria-labelledby="change-title" class="change">
    <h2 id="change-title">Change the cluster</h2>
    <form id="change-form">
      <label>Change <select id="kind"><option value="add-node">Add a node</option><option value="remove-node">Remove a node</option><option value="set-weight">Set a weight</option><option value="set-vnodes">Set a vnode count</option></select></label>
      <label id="address-field">Address <input id="address" placeholder="10.0.0.4:11211" spellcheck="false"></label>
      <label id="name-field" hidden>Node <select id="name"></select></label>
      <label id="dead-field" hidden><input id="dead" type="checkbox"> It is gone for good: its keys are lost</label>
      <label id="number-field" hidden><span id="number-label">Weight</span> <input id="number" type="number" min="0" step="any" value="1"></label>
      <p class="buttons"><button type="submit">Plan</button><button id="apply" type="button">Apply</button></p>
    </form>
    <div id="change-result" role="status"></div>
  </section>
  <section aria-labelledby="locate-title" class="locate">
    <h2 id="locate-title">Locate a key</h2>
    <form id="locate-form"><label>Key <input id="key" required maxlength="250" spellcheck="false" autocomplete="off"></label> <button type="submit">Locate</button></form>
    <div id="locate-result" role="status"></div>
  </section>
  <section aria-labelledby="traffic-title" class="traffic">
    <h2 id="traffic-title">Requests a second</h2>
    <div id="traffic-chart"></div>
  </section>
  <section aria-labelledby="keys-title" class="keys">
    <h2 id="keys-title">Keys per node</h2>
    <div id="keys-chart"></div>
  </section>
  <section aria-labelledby="events-title" class="events">
    <h2 id="events-title">Events</h2>
    <ol id="events" role="log" aria-labelledby="events-title" tabindex="0"></ol>
  </section>
</main>
<noscript>The dashboard needs JavaScript. The same is in /api/state, and in ringshift status.</noscript>
</body>
</html>
`;
