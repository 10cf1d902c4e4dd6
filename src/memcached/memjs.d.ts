/** What of memjs is used; it carries no types. */
declare module "memjs" {
  interface Logger {
    log(...words: unknown[]): void;
  }
  class Client {
    static create(servers: string, options?: { readonly logger?: Logger; readonly [name: string]: unknown }): Client;
    get(key: string): Promise<{ readonly value: Buffer | null; readonly flags: Buffer | null }>;
    set(key: string, value: string | Buffer, options: { readonly expires?: number }): Promise<boolean>;
    quit(): void;
  }
}
