"""What Redis does by itself, so that a lookup is one round trip."""

from __future__ import annotations

import hashlib


class Script:
    """Lua, and the name by which Redis remembers it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# KEYS: the entry, who asked in this window, who asked in the one before, the lease
# ARGV: the threshold, the lease's life in ms, the counters' life in ms, the lease's taker,
#       and the places of the counters
# returns: the entry or false, the count, whether another has the lease, the error of a write
#
# A Redis that is full or read-only refuses writes only, so they are tried (pcall), and what is
# there is answered all the same; the request itself is then counted here alone.
LOOK_UP = Script("""
local data = redis.call('GET', KEYS[1])
local reads, writes = {}, {'OVERFLOW', 'SAT'}
for i = 5, #ARGV do
  for _, word in ipairs({'GET', 'u8', ARGV[i]}) do reads[#reads + 1] = word end
  for _, word in ipairs({'INCRBY', 'u8', ARGV[i], 1}) do writes[#writes + 1] = word end
end
local refusal = ''
local now = redis.pcall('BITFIELD', KEYS[2], unpack(writes))
local count = 0
if now.err then
  refusal = now.err
  now = redis.call('BITFIELD_RO', KEYS[2], unpack(reads))
  count = 1
else
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
count = count + math.min(unpack(now))
  + math.min(unpack(redis.call('BITFIELD_RO', KEYS[3], unpack(reads))))
local elsewhere = 0
if not data and count >= tonumber(ARGV[1]) then
  local taken = redis.pcall('SET', KEYS[4], ARGV[4], 'NX', 'PX', ARGV[2])
  if not taken then
    if redis.call('GET', KEYS[4]) ~= ARGV[4] then elsewhere = 1 end
  elseif taken.err then
    refusal = taken.err
  end
end
return {data, count, elsewhere, refusal}
""")

# KEYS: entries, the best first; returns the place of the first that is there, and what it holds
FIND_FIRST = Script("""
for i, key in ipairs(KEYS) do
  local data = redis.call('GET', key)
  if data then return {i - 1, data} end
end
return false
""")
