/** A process that pulls one moving key by rule P and dies by SIGKILL in the middle of it, for `hot-key`. */
import { openManaged } from "../client/session.ts";
import type { Transport } from "../memcached/transport.ts";
import { pullOne } from "../protocol/pull-one.ts";
import { Session } from "../protocol/session.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { answering, opened } from "./child.ts";

export type PullQuestion =
  | { readonly type: "open"; readonly redis: string }
  /** @param exchanges answered before the process dies: 1 leaves a placeholder, 2 one whose value was read, 3 a value at both servers */
  | { readonly type: "pull"; readonly key: string; readonly exchanges: number };

let open: Awaited<ReturnType<typeof openManaged>> | undefined;

answering(async (question: PullQuestion): Promise<boolean> => {
  if (question.type === "open") {
    open = await opened(() => openManaged({ redis: question.redis, namespace: namespaceOf(undefined) }));
    return true;
  }
  const { session, store } = open!;
  let left = question.exchanges;
  const transport: Transport = {
    dump: (node) => session.transport.dump(node),
    exchange: async (...words) => {
      const answer = await session.transport.exchange(...words);
      if (--left === 0) process.kill(process.pid, "SIGKILL");
      return answer;
    },
  };
  const { namespace, clock, recorder, view } = session;
  const mortal = new Session({ namespace, transport, store: store!, clock, recorder }, view);
  await pullOne(mortal, mortal.view.route(question.key));
  return false; // it lived
});
