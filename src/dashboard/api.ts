/** Requests to the admin port. The token stays in the page's memory: a reload forgets it. */
import { byId } from "./dom.ts";

/** A refusal, in the words of its problem document. */
export class Refused extends Error {}

export async function get<T>(path: string): Promise<T> {
  return answerOf(await fetch(path));
}

export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const token = byId<HTMLInputElement>("token").value;
  return answerOf(
    await fetch(path, {
      method,
      headers: { "content-type": "application/json", ...(token === "" ? {} : { authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
}

async function answerOf<T>(response: Response): Promise<T> {
  const body = (await response.json()) as { detail?: string; code?: string };
  if (!response.ok) throw new Refused(`${body.code}: ${body.detail}`);
  return body as T;
}
