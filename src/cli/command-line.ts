/** A change as it stands in the document, said as it is typed. */

const ADDED = /^(?:([^=,]+)=)?([^=,]+)((?:,(?:weight|vnodes)=[^=,]+)*)$/;

/**
 * `add-node a=10.0.0.4:11211,weight=2` as `ringshift add-node 10.0.0.4:11211 --name a --weight 2`. Nodes added by a program with unlike
 * weights have no such command: then the text stands as it is.
 */
export function commandLine(command: string): string {
  const [verb, ...words] = command.split(" ");
  if (verb !== "add-node") return `ringshift ${command}`;
  const nodes = words.map((word) => ADDED.exec(word));
  const names = nodes.flatMap((node) => node?.[1] ?? []);
  const shared = new Set(nodes.map((node) => node?.[3]));
  if (nodes.includes(null) || shared.size !== 1 || (names.length > 0 && nodes.length > 1))
    return `ringshift ${command}`;
  const options = [...shared][0]!
    .split(",")
    .filter(Boolean)
    .map((option) => `--${option.replace("=", " ")}`);
  const addresses = nodes.map((node) => node![2]!);
  return ["ringshift add-node", ...addresses, ...names.map((name) => `--name ${name}`), ...options].join(" ");
}
