/** SIGINT and SIGTERM: the first is for whoever listens, the next one, or one nobody listens to, ends the program with 130. */
import { EXIT } from "./exit-codes.ts";

let listener: (() => void) | undefined;

/** Once, at the start of the program. */
export function handleSignals(): void {
  const interrupted = () => {
    const first = listener;
    listener = undefined;
    if (first === undefined) process.exit(EXIT.INTERRUPTED);
    first();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupted);
}

/** Does the work with a signal that the first SIGINT or SIGTERM aborts. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  listener = abort;
  try {
    return await work(controller.signal);
  } finally {
    if (listener === abort) listener = undefined;
  }
}
