/** The process of the proxies, so that their work does not slow the clients' or the nemesis' down. Told what to do over its channel. */
import { Random } from "../model/random.ts";
import { FaultyProxy, type ProxyFault } from "./proxy.ts";

export type ToProxies =
  | { readonly type: "listen"; readonly id: string; readonly target: number; readonly seed: number }
  | { readonly type: "retarget"; readonly id: string; readonly target: number }
  | {
      readonly type: "fault";
      readonly id: string;
      readonly kind: ProxyFault;
      readonly ms: number;
      readonly slowness?: number | undefined;
    }
  | { readonly type: "heal" };

export interface Listening {
  readonly id: string;
  readonly port: number;
}

const proxies = new Map<string, FaultyProxy>();

process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());
process.on("message", (message: ToProxies) => void obey(message));

async function obey(message: ToProxies): Promise<void> {
  switch (message.type) {
    case "listen": {
      const proxy = await FaultyProxy.listen(message.target, new Random(message.seed));
      proxies.set(message.id, proxy);
      process.send!({ id: message.id, port: proxy.port } satisfies Listening);
      return;
    }
    case "retarget":
      proxies.get(message.id)!.retarget(message.target);
      return;
    case "fault":
      proxies.get(message.id)!.fault(message.kind, message.ms, message.slowness);
      return;
    case "heal":
      for (const proxy of proxies.values()) proxy.heal();
  }
}
