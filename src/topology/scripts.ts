/**
 * The Lua scripts. Redis runs a script as one step, so "read the document together with Redis' run id" and "publish if nothing
 * changed" are single events of the protocol.
 */

const RUN_ID = `
local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
`;

/** KEYS: topology. Answers {doc or false, run id}. */
export const READ = `${RUN_ID}
return {redis.call('HGET', KEYS[1], 'doc'), run_id()}
`;

/** KEYS: topology. ARGV: expected id or '', new id, new doc, required run id or '', channel. */
export const PUBLISH = `${RUN_ID}
local id = redis.call('HGET', KEYS[1], 'id') or ''
if id == ARGV[2] then return 'published' end
if id ~= ARGV[1] then return 'changed' end
if ARGV[4] ~= '' and ARGV[4] ~= run_id() then return 'failover' end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'doc', ARGV[3])
redis.call('PUBLISH', ARGV[5], ARGV[2])
return 'published'
`;

/**
 * The field of a hash of entry counts that says that they are kept. Its length (over hash-max-listpack-value) makes Redis keep a hash table:
 * in the list it keeps for short fields, adding to one of 480 counts takes three times as long.
 */
export const COUNTING = "entries are counted here since somebody has asked; so long a name makes a hash table of it";

const COUNT = `
local counting = redis.call('HEXISTS', KEYS[2], '${COUNTING}') == 1
local function count(set, by)
  if not counting or by == 0 then return end
  local point = string.match(set, '%d+$')
  if redis.call('HINCRBY', KEYS[2], point, by) <= 0 then redis.call('HDEL', KEYS[2], point) end
end
`;

/**
 * Each set of ARGV[1] (packed.ts) with its keys: `change` is SADD or SREM, and the counts change with the sets in one step (entry-counts.ts). Read by
 * patterns (`<point> <how many> <bytes> <key>`), 24 keys of 24 sets cost Redis 4.4 µs each; by struct.unpack they cost 3.1, and 1.7 as a
 * SADD each without a script, which could not count.
 */
function changeSets(change: "SADD" | "SREM"): string {
  const sign = change === "SADD" ? "" : "-";
  return `${COUNT}
local packed, take = ARGV[1], struct.unpack
local at = 1
while at <= #packed do
  local set, n, key
  set, n, key, at = take('>Hc0HHc0', packed, at)
  local changed = 0
  if n == 1 then
    changed = redis.call('${change}', set, key)
  else
    local keys = {key}
    for i = 2, n do
      key, at = take('>Hc0', packed, at)
      keys[#keys + 1] = key
      if #keys == 4000 then
        changed = changed + redis.call('${change}', set, unpack(keys))
        keys = {}
      end
    end
    if #keys > 0 then changed = changed + redis.call('${change}', set, unpack(keys)) end
  end
  count(set, ${sign}changed)
end
`;
}

/** KEYS: topology, entry counts. ARGV: entries (packed.ts). Answers the document's id. */
export const RECORD = `${changeSets("SADD")}
return redis.call('HGET', KEYS[1], 'id')
`;

/** As RECORD, but removes, and only while the document's id is ARGV[2]. Answers 1 or 0. */
export const UNRECORD = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[2] then return 0 end
${changeSets("SREM")}
return 1
`;

/**
 * KEYS: a set. ARGV: cursor, count. A page of the set: its next cursor, how many keys, and the keys with line ends between, in one string:
 * of a reply of many small strings each costs the client more than all else it does with a key. A key that has a line end in it shows by
 * the number.
 */
export const PAGE = `
local page = redis.call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
return {page[1], #page[2], table.concat(page[2], '\\n')}
`;

/** KEYS: entry counts, then one set a point. From now on counts are kept; these are made anew. Answers how many of them were wrong. */
export const RECOUNT = `
redis.call('HSETNX', KEYS[1], '${COUNTING}', '')
local wrong = 0
for i = 2, #KEYS do
  local point = string.match(KEYS[i], '%d+$')
  local size = redis.call('SCARD', KEYS[i])
  if tonumber(redis.call('HGET', KEYS[1], point) or '0') ~= size then
    wrong = wrong + 1
    if size == 0 then redis.call('HDEL', KEYS[1], point) else redis.call('HSET', KEYS[1], point, size) end
  end
end
return wrong
`;

/** KEYS: topology, clients, acknowledged. ARGV: client id, epoch, registration ms, known id. Answers {doc, false when known or none; id; run id}. */
export const HEARTBEAT = `${RUN_ID}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local id = redis.call('HGET', KEYS[1], 'id')
local doc = false
if id and id ~= ARGV[4] then doc = redis.call('HGET', KEYS[1], 'doc') end
return {doc, id, run_id()}
`;

/** KEYS: clients, acknowledged. ARGV: epoch. Answers the registered clients that have not acknowledged it. */
export const UNACKNOWLEDGED = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  if tonumber(redis.call('HGET', KEYS[2], id) or '-1') < tonumber(ARGV[1]) then late[#late + 1] = id end
end
return late
`;

/** KEYS: lease. ARGV: holder, ms. Takes or renews; answers the holder that stands. */
export const LEASE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`;

/** KEYS: lease. ARGV: holder. Gives back what the holder holds. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`;
