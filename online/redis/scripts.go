package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// script is Lua that is called by its hash and sent in full only to a server
// that does not know it.
type script struct{ text, sha string }

func newScript(text string) script {
	h := sha1.Sum([]byte(text))
	return script{text: text, sha: hex.EncodeToString(h[:])}
}

// putScript stores each row unless a newer one is there. KEYS are the rows'
// keys; ARGV a value and an expiry in milliseconds (0: none) for each. Returns how many it stored.
//
// The order section of a value (online/cells.go) begins at Lua's byte 6: eight
// bytes of effective time, then three counted numbers. Compared are numbers, byte by byte:
// Lua's < on strings goes by the server's locale. Nearly always the effective
// times decide, and those are taken apart in one step for each value. An equal row is
// stored again, so that a refill mends a damaged value and renews the expiry.
//
// A command costs far more than what it does to one key, so all old values come
// with one MGET and what has no expiry goes with one MSET; 200 rows at a
// time, because Lua cannot hand over any number of arguments.
var putScript = newScript(`
local byte, call = string.byte, redis.call
local stored = 0
local function older(v, old)
  local a1, a2, a3, a4, a5, a6, a7, a8 = byte(v, 6, 13)
  local b1, b2, b3, b4, b5, b6, b7, b8 = byte(old, 6, 13)
  if a1 ~= b1 then return a1 < b1 end
  if a2 ~= b2 then return a2 < b2 end
  if a3 ~= b3 then return a3 < b3 end
  if a4 ~= b4 then return a4 < b4 end
  if a5 ~= b5 then return a5 < b5 end
  if a6 ~= b6 then return a6 < b6 end
  if a7 ~= b7 then return a7 < b7 end
  if a8 ~= b8 then return a8 < b8 end
  local last = 13
  for n = 1, 3 do last = last + 1 + byte(v, last + 1) end
  for p = 14, last do
    local a, b = byte(v, p), byte(old, p)
    if a ~= b then return b ~= nil and a < b end
  end
  return false
end
for from = 1, #KEYS, 200 do
  local to = math.min(from + 199, #KEYS)
  local olds = call('MGET', unpack(KEYS, from, to))
  local set, m = {}, 0
  for i = from, to do
    local v, old = ARGV[2*i-1], olds[i-from+1]
    if not old or #old < 16 or not older(v, old) then
      local px = ARGV[2*i]
      if px == '0' then
        set[m+1], set[m+2] = KEYS[i], v
        m = m + 2
      else
        call('SET', KEYS[i], v, 'PX', px)
      end
      stored = stored + 1
    end
  end
  if m > 0 then call('MSET', unpack(set)) end
end
return stored
`)

// removeScript drops each key that still holds the value given for it. Returns how many.
var removeScript = newScript(`
local call, removed = redis.call, 0
for i = 1, #KEYS do
  if call('GET', KEYS[i]) == ARGV[i] then removed = removed + call('DEL', KEYS[i]) end
end
return removed
`)

// A view's marks are one hash: "ttl", and for each partition the fields
// <topic id>/<partition>:written, :settled, :lost_from and :lost_to. Numbers are stored as
// they were sent, never as Lua prints them (1e+15).

// advanceScript is online.Advance.Move. ARGV: partition, from, next. Returns 1 when rows were lost.
var advanceScript = newScript(`
local h, part = KEYS[1], ARGV[1]
local from, next = tonumber(ARGV[2]), tonumber(ARGV[3])
local get = function(f) return redis.call('HGET', h, part .. f) end
local set = function(f, v) redis.call('HSET', h, part .. f, v) end
local at = get(':written') or '0'
local lost = 0
if tonumber(at) < from then
  lost = 1
  local lo, hi = get(':lost_from'), get(':lost_to')
  if not lo or tonumber(at) < tonumber(lo) then set(':lost_from', at) end
  if not hi or tonumber(hi) < from then set(':lost_to', ARGV[2]) end
end
if tonumber(at) < next then set(':written', ARGV[3]) end
return lost
`)

// settleScript is online.Settlement.Apply for several partitions. ARGV: ttl, how many marks were
// seen, for each of those: partition and what it was good for; then
// for each settlement: partition, settled, written, mended from, mended to, still from, reset (0 or 1).
// Returns 1, or 0 when a mark is worse than it was seen: nothing is done then.
var settleScript = newScript(`
local h = KEYS[1]
local set = function(f, v) redis.call('HSET', h, f, v) end
local first = 3 + 2 * tonumber(ARGV[2])
for i = 3, first - 1, 2 do
  local at = redis.call('HGET', h, ARGV[i] .. ':written')
  local lo, hi = redis.call('HGET', h, ARGV[i] .. ':lost_from'), redis.call('HGET', h, ARGV[i] .. ':lost_to')
  local good = tonumber(at or '0')
  if lo and hi and tonumber(lo) < tonumber(hi) and tonumber(lo) < good then good = tonumber(lo) end
  if good < tonumber(ARGV[i+1]) then return 0 end
end
set('ttl', ARGV[1])
for i = first, #ARGV, 7 do
  local part = ARGV[i]
  local at = redis.call('HGET', h, part .. ':written')
  set(part .. ':settled', ARGV[i+1])
  local reset = ARGV[i+6] == '1'
  if reset or not at or tonumber(at) < tonumber(ARGV[i+2]) then set(part .. ':written', ARGV[i+2]) end
  local lo, hi = redis.call('HGET', h, part .. ':lost_from'), redis.call('HGET', h, part .. ':lost_to')
  if reset then
    redis.call('HDEL', h, part .. ':lost_from', part .. ':lost_to')
  elseif lo and hi and tonumber(lo) >= tonumber(ARGV[i+3]) and tonumber(hi) <= tonumber(ARGV[i+4]) then
    if tonumber(ARGV[i+5]) >= tonumber(hi) then
      redis.call('HDEL', h, part .. ':lost_from', part .. ':lost_to')
    elseif tonumber(lo) < tonumber(ARGV[i+5]) then
      set(part .. ':lost_from', ARGV[i+5])
    end
  end
end
return 1
`)

// call is one script call on keys of one slot.
type call struct {
	*script
	keys []any
	args []any
	cmd  *goredis.Cmd // the answer
}

func (c *call) prepare(ctx context.Context, byHash bool) *goredis.Cmd {
	args := make([]any, 0, 3+len(c.keys)+len(c.args))
	if byHash {
		args = append(args, "evalsha", c.sha)
	} else {
		args = append(args, "eval", c.text)
	}
	args = append(append(append(args, len(c.keys)), c.keys...), c.args...)
	c.cmd = goredis.NewCmd(ctx, args...)
	return c.cmd
}

// run sends the calls as one pipeline. Those that met a server without the
// script (it has restarted, or failed over) are sent again in full, which also teaches it.
func run(ctx context.Context, c goredis.UniversalClient, calls []*call) error {
	var again []*call
	send := func(list []*call, byHash bool) error {
		pipe := c.Pipeline()
		for _, x := range list {
			_ = pipe.Process(ctx, x.prepare(ctx, byHash))
		}
		_, all := pipe.Exec(ctx)
		for _, x := range list {
			err := x.cmd.Err()
			switch {
			case err != nil && byHash && strings.HasPrefix(err.Error(), "NOSCRIPT"):
				again = append(again, x)
			case err != nil:
				return err
			case x.cmd.Val() == nil: // never sent: no connection could be set up
				return all
			}
		}
		return nil
	}
	if err := send(calls, true); err != nil || len(again) == 0 {
		return err
	}
	return send(again, false)
}
