/** What the tests use of packages that bring no types. */
declare module "memcached" {
  type Done<T> = (error: Error | undefined, value: T) => void;
  class Memcached {
    constructor(servers: readonly string[], options?: object);
    get(key: string, done: Done<unknown>): void;
    set(key: string, value: unknown, ttl: number, done: Done<boolean>): void;
    incr(key: string, by: number, done: Done<number | false>): void;
    del(key: string, done: Done<boolean>): void;
    end(): void;
  }
  export = Memcached;
}
