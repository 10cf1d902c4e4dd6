/** `ringshift/testing`: real Memcached and Redis servers for tests and demonstrations, gone when the program is. */
export {
  ensureBinaries,
  ensureSaslPlain,
  findBinary,
  requireBinary,
  SERVER_BINARIES,
  type ServerBinary,
} from "./binaries.ts";
export {
  type ClusterOptions,
  LocalCluster,
  type MemcachedOptions,
  type MemcachedServer,
  type RedisOptions,
  type RedisServer,
  startMemcached,
  startRedis,
} from "./local-cluster.ts";
export { SaslAccounts } from "./sasl.ts";
export type { LocalServer } from "./server-process.ts";
