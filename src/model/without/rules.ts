/**
 * The rules that can be switched off, each of which a history shows to be missing; by the names that the protocol's reference model has for its
 * switches, where it has one. The product's code is not touched: what it is told is not true, or what it asks for is not done.
 */
export const RULES = {
  nofence: "V: replies count whatever the fence shows",
  nofenceS: "V: the same, in S and F only",
  nofenceD: "V: the same, in D only",
  epochonly: "V: in S a read counts although the fence is newer",
  "w-inF": "V: in F replies count through Redis although the fence is raised",
  "w-joining": "V: a joining server's fence counts alone while Redis is away",
  "w-lowrun": "V: a fence that is too low counts although Redis has failed over",
  noF: "F: only gaining servers' fences are raised",
  nofreeze: "F: writes of moving keys do not wait",
  "w-abortF": "F: taken back although Redis has failed over since",
  nopull: "M: mutations of moving keys go to the new owner without a pull",
  nokill: "P, step 5: the old owner's copy stays",
  addfill: "P, step 4: the placeholder is deleted and the value filled in by add",
  "w-prec": "P, step 3: clients do not record what they pull",
  "w-tok": "P, M: CAS tokens outlive their connection",
  "w-native": "M: commands take a placeholder for a value",
  "w-phmiss": "M: commands other than reads answer `missing` and leave the placeholder",
  no3rd: "R: no third look",
  nophdel: "R: a read in D answers `missing` and leaves the placeholder",
  "w-sph": "R: a read in S answers `missing` and leaves the placeholder",
  "w-index": "K: the index is trusted after a fail-over of Redis",
  nodump: "K: a server whose fence has ` u` is not read by metadump",
  nopurge: "G: strays stay",
  nohold: "T: the next migration starts without waiting for anybody",
  nolinger: "T: an epoch is acknowledged although something sent under it may still act",
  nogate: "T: a client sends whatever the age of its document",
  "w-par": "Recording: the write does not wait for Redis",
  "w-queue": "Recording: while Redis is away the server is not marked, the entry follows later",
  "w-recmem": "Recording: what was recorded counts for ever",
  "w-plantnum": "Planting: without a nonce, the number of the document at hand by add",
  "w-plantrun": "Planting: also from an unconfirmed document",
  "w-epoch": "Fail-over: documents of one epoch are taken for the same",
  "w-pubrun": "Fail-over: a publication does not insist on the run id it was confirmed under",
  "w-twolost": "Fail-over: confirmed although fences are missing, and what stands there stays",
  noputback: "Fail-over: nobody puts a newer document back",
  "w-void": "Fail-over: a newer document is put back although the older one was confirmed without it",
  norunid: "Fail-over: nobody looks at Redis' run id",
  "w-deadnow": "Dead source: abandoned without new numbers or a hold-off",
} as const;

/**
 * What can be switched off too, and what no history shows to be missing: others do the same work, or it is about how
 * long calls take (docs/model.md).
 */
export const SAFEGUARDS = {
  lazyF: "F: no fence is raised before D",
  nocheckF: "F: servers are not asked for their fences before",
  leaveph: "P, step 2: the placeholder of a key that is nowhere stays",
  onepass: "K: no second pass",
  "w-phrun": "P: clients put placeholders although Redis has failed over",
} as const;

export type Rule = keyof typeof RULES | keyof typeof SAFEGUARDS;
export type RulesOff = ReadonlySet<Rule>;
