"""A list as a work queue: which end is old, and what taking from it safely needs.

What is taken lies in a list of our own until it is settled, beside a hash that says how many were
settled before (their places go on from there) and which collector owns it. Each step is a script:
one round trip for a batch, atomic, and refused once another collector has become the owner. LMOVE
and BLMOVE were not taken: neither can be refused so, and a move by a collector that has lost its
lease would be removed by the next settling of the new one without having been stored.

All three keys hash to one slot: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
"""

import re
from typing import Final

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.refusals import FENCED
from collectors.redis_pubsub.translate import channel_bytes
from eventhub.brokers.contract import Observation

__all__ = [
    "GIVE_BACK",
    "MAY_TAKE",
    "OPEN",
    "OWN",
    "SETTLE",
    "TAKE",
    "index_key",
    "keys",
    "push",
]

OWN: Final = b"eventhub:"
"""How the keys of every EventHub begin."""
_TAGGED: Final = re.compile(rb"[^{]*\{[^}]+\}", re.DOTALL)
_OWNER: Final = f"""
if redis.call('HGET', KEYS[#KEYS], 'owner') ~= ARGV[1] then
  return redis.error_reply('{FENCED} another collector owns this')
end
"""

OPEN: Final = """
redis.call('LTRIM', KEYS[1], 0, -1)
redis.call('HSETNX', KEYS[3], 'place', ARGV[2])
redis.call('HSET', KEYS[3], 'owner', ARGV[1])
return {redis.call('HGET', KEYS[3], 'place'), redis.call('LLEN', KEYS[2])}
"""
"""KEYS: list, taken, book. ARGV: owner, the first place. Returns the place of the oldest that is
taken, and how many are. The trim keeps all, and shows that the user may: one that is refused only
when an element is taken would leave it in both lists, and so again at each try."""

TAKE: Final = (
    _OWNER
    + """
local found, size, most = {}, 0, tonumber(ARGV[2])
while #found < most and size < tonumber(ARGV[3]) do
  local count = math.min(tonumber(ARGV[4]), most - #found)
  local part = {}
  if ARGV[5] == 'left' then
    part = redis.call('LRANGE', KEYS[1], 0, count - 1)
  else
    local newest_first = redis.call('LRANGE', KEYS[1], -count, -1)
    for index = #newest_first, 1, -1 do part[#part + 1] = newest_first[index] end
  end
  if #part == 0 then break end
  redis.call('RPUSH', KEYS[2], unpack(part))
  if ARGV[5] == 'left' then
    redis.call('LTRIM', KEYS[1], #part, -1)
  else
    redis.call('LTRIM', KEYS[1], 0, -#part - 1)
  end
  for _, element in ipairs(part) do
    found[#found + 1] = element
    size = size + #element
  end
end
return found
"""
)
"""KEYS: list, taken, book. ARGV: owner, most elements, bytes after which it ends, elements at a
time, the list's old end. Returns what was taken, oldest first. Popping one by one was tried: it
held the server for 7 ms for 1,000 elements of 1 KB, this for 4.5; LRANGE alone takes 2."""

MAY_TAKE: Final = """
local problem
for _, call in ipairs({
  {'DEL', KEYS[2]}, {'LTRIM', KEYS[1], 0, -1}, {'LRANGE', KEYS[1], 0, 0}, {'RPUSH', KEYS[2], ''},
  {ARGV[1], KEYS[2], ''}, {'LLEN', KEYS[2]}, {'RPOP', KEYS[2]}, {'DEL', KEYS[2]},
  {'HSETNX', KEYS[2], 'place', 0}, {'HINCRBY', KEYS[2], 'place', 1},
  {'HSET', KEYS[2], 'owner', ''}, {'HGET', KEYS[2], 'owner'},
}) do
  local answer = redis.pcall(unpack(call))
  if type(answer) == 'table' and answer.err then
    problem = answer
    break
  end
end
redis.pcall('DEL', KEYS[2])
return problem or 1
"""
"""KEYS: list, a key for a moment. ARGV: the command that pushes at the list's old end. Changes
nothing: the trim keeps all, and nobody sees a key that a script makes and removes."""

SETTLE: Final = (
    _OWNER
    + """
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
return redis.call('HINCRBY', KEYS[2], 'place', ARGV[2])
"""
)
"""KEYS: taken, book. ARGV: owner, how many of the oldest."""

GIVE_BACK: Final = """
local count = 0
while true do
  local element = redis.call('RPOP', KEYS[2])
  if not element then break end
  redis.call(ARGV[1], KEYS[1], element)
  count = count + 1
end
redis.call('DEL', KEYS[3])
return count
"""
"""KEYS: list, taken, book. ARGV: the command that pushes at the list's old end."""


def keys(observation: Observation, name: str) -> tuple[bytes, bytes, bytes]:
    """The list, what is taken of it, and the book of it."""
    key = channel_bytes(name)
    # A list with a hash tag of its own keeps it; any other is the tag.
    tag = key if _TAGGED.match(key) else b"{" + key + b"}"
    return key, _own(observation) + b"taken:" + tag, _own(observation) + b"book:" + tag


def index_key(observation: Observation) -> bytes:
    """A set of the lists that this source has taken from."""
    return _own(observation) + b"lists"


def push(config: RedisPubSubConfig, *, old: bool = False) -> str:
    """The command that adds the newest; with `old`, one that puts back at the old end."""
    return "RPUSH" if (config.list_end == "right") == old else "LPUSH"


def _own(observation: Observation) -> bytes:
    # By the id, which a source that is renamed keeps, and which has no brace.
    return OWN + f"{observation.installation}:{observation.source_id}:".encode()
