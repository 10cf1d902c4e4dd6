/** ringshift: sharded Memcached that grows and shrinks without losing a key. */
export {
  type CallOptions,
  type CasToken,
  Client,
  type ClusterState,
  type CountOptions,
  type GetOrSetOptions,
  type ItemMeta,
  type Location,
  type Metrics,
  type MultiOptions,
  type NodeState,
  type Versioned,
  type WriteOptions,
} from "./client/client.ts";
export type { Serializer } from "./client/codec.ts";
export type { Compression, CompressionAlgorithm } from "./client/compress.ts";
export { createClient } from "./client/create.ts";
export type { BatchTrace, ClientEvents, CommandTrace, MigrationEvent, NodeEvent } from "./client/events.ts";
export type { Load } from "./client/get-or-set.ts";
export type { ClientOptions } from "./client/options.ts";
export type { FlushOptions } from "./client/servers.ts";
export type { DiscoveryOptions } from "./discovery/options.ts";
export type { DiscoveryEvent } from "./discovery/watch.ts";
export { ERROR_CODES, type ErrorCode, isRingshiftError, RingshiftError } from "./errors.ts";
export type { Credentials, ServerAccess } from "./memcached/access.ts";
export { keyOfBytes } from "./memcached/key.ts";
export type { AbortReport } from "./migration/abort.ts";
export { Admin, type AdminOptions, openAdmin } from "./migration/admin.ts";
export type { Change, NewNode } from "./migration/change.ts";
export type { ChangeOptions } from "./migration/coordinator.ts";
export type { Plan, PlannedMove } from "./migration/plan.ts";
export type { ChangeReport, LostArc, LostKeys, OnProgress, Progress } from "./migration/progress.ts";
export type { RecoveryReport } from "./migration/recover.ts";
export type { ReindexReport } from "./migration/reindex.ts";
export type { SweepReport } from "./migration/sweep.ts";
export type { ChangeState, UnderWay } from "./migration/under-way.ts";
export type { Findings, VerifyOptions, VerifyReport } from "./migration/verify.ts";
export { type Arc, diffRings, Ring, type RingDiff, type RingNodeInput, type RingOptions } from "./ring/index.ts";
export type { Compat, NodeRecord, TopologyDocument } from "./topology/document.ts";
