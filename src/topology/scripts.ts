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

/** KEYS: topology, then one set a point. ARGV: per set the number of its keys, then the keys of all. Answers the document's id. */
export const RECORD = `
local at = #KEYS
for i = 2, #KEYS do
  local n = tonumber(ARGV[i - 1])
  for from = 0, n - 1, 4000 do
    redis.call('SADD', KEYS[i], unpack(ARGV, at + from, at + math.min(from + 4000, n) - 1))
  end
  at = at + n
end
return redis.call('HGET', KEYS[1], 'id')
`;

/** As RECORD, but removes, and only while the document's id is the last ARGV. Answers 1 or 0. */
export const UNRECORD = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[#ARGV] then return 0 end
local at = #KEYS
for i = 2, #KEYS do
  local n = tonumber(ARGV[i - 1])
  for from = 0, n - 1, 4000 do
    redis.call('SREM', KEYS[i], unpack(ARGV, at + from, at + math.min(from + 4000, n) - 1))
  end
  at = at + n
end
return 1
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
