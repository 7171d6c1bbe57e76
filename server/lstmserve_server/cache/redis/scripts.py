"""What Redis does by itself, so that a lookup is one round trip."""

from __future__ import annotations

import hashlib


class Script:
    """Lua, and the name by which Redis remembers it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# KEYS: the entry, the sketch that counts, the one before it, the lease
# ARGV: the threshold, the lease's life in ms, its taker, the time and the window in ms, how many
#       different things a sketch has room for, and where the counters of this one are, in bytes
# returns: the entry or false, the count, whether another has the lease, the error of a write
#
# It counts as cache/sketch.py does. Before its counters a sketch holds when it began (48 bits)
# and how many different things it has counted (16 bits). Of clocks that disagree the one that is
# ahead decides.
#
# A Redis that is full or read-only refuses writes only, so they are tried (pcall), and what is
# there is answered all the same; the request itself is then counted here alone.
LOOK_UP = Script("""
local data = redis.call('GET', KEYS[1])
local refusal = ''
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then refusal = answer.err end
  return answer
end

local reads = {'GET', 'u48', '0', 'GET', 'u16', '48'}
for i = 7, #ARGV do
  for _, word in ipairs({'GET', 'u8', '#' .. ARGV[i]}) do reads[#reads + 1] = word end
end
local now = redis.call('BITFIELD_RO', KEYS[2], unpack(reads))
local before = redis.call('BITFIELD_RO', KEYS[3], unpack(reads))
local time, window = tonumber(ARGV[4]), tonumber(ARGV[5])
local began_at, different = now[1], now[2]
local age = time - began_at
if age >= 2 * window then
  if began_at > 0 or before[1] > 0 then try('UNLINK', KEYS[2], KEYS[3]) end
  began_at, different, now, before = time, 0, nil, nil
elseif age >= window or different >= tonumber(ARGV[6]) then
  try('RENAME', KEYS[2], KEYS[3])
  began_at, different = age >= window and began_at + window or time, 0
  now, before = nil, now
end
local function least(counts) return counts and math.min(unpack(counts, 3)) or 0 end

local asked = least(now)
if asked == 0 then different = different + 1 end
if asked < 255 then
  local writes = {'SET', 'u48', '0', began_at, 'SET', 'u16', '48', different}
  for i = 7, #ARGV do
    if not now or now[i - 4] == asked then
      for _, word in ipairs({'SET', 'u8', '#' .. ARGV[i], asked + 1}) do
        writes[#writes + 1] = word
      end
    end
  end
  try('BITFIELD', KEYS[2], unpack(writes))
end
try('PEXPIRE', KEYS[2], 2 * window)

local count = math.min(asked + 1, 255) + least(before)
local elsewhere = 0
if not data and count >= tonumber(ARGV[1]) then
  local taken = try('SET', KEYS[4], ARGV[3], 'NX', 'PX', ARGV[2])
  if not taken and redis.call('GET', KEYS[4]) ~= ARGV[3] then elsewhere = 1 end
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
