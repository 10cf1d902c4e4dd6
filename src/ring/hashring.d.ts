/** The little of `hashring` 3.2.0 that `points.ts` uses; the package ships no types. `get()` is left out on purpose: see there. */
declare module "hashring" {
  class HashRing {
    constructor(
      servers: Readonly<Record<string, { readonly vnodes: number }>>,
      algorithm: "md5",
      options: { readonly "vnode count": number },
    );
    /** Every server's points in ascending order; the object has no prototype. */
    points(servers: readonly string[]): Record<string, number[]>;
  }
  export = HashRing;
}
