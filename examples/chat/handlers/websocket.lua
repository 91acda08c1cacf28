-- The chat. Each event of each connection calls chat_handler, which answers with what to do.
--
-- From the page (JSON text):                        To the page, besides the frames of presence and of history:
--   {"type":"message","id":"…","text":"…"}            {"event":"message", id, user_id, name, text, at}, to the room
--   {"type":"typing","on":true}                       {"event":"typing", user_id, on}, to the room
--   {"type":"earlier","ask":1,"before":"…"}           {"event":"earlier", ask, messages, more}
--   {"type":"state","state":"away"}
--   {"type":"name","name":"Ada","named_at":1700…}
--   {"type":"room","room":"random"}

local rooms = require("lib.rooms")

local LONGEST_TEXT = 4000 -- bytes
local LONGEST_NAME = 120
local TYPING_FOR = 5000 -- ms
local EARLIER = 20 -- messages at a time
local STATES = { online = true, away = true }

-- A text from outside: a string of at most so many bytes, control characters made spaces, trimmed; or nil.
local function clean(value, longest, keep_lines)
  if type(value) ~= "string" or #value > longest then
    return nil
  end
  value = value:gsub(keep_lines and "[%z\1-\9\11-\31\127]" or "%c", " "):match("^%s*(.-)%s*$")
  return value ~= "" and value or nil
end

-- A time from outside, in ms; 0 when it is none.
local function time_of(value)
  local n = tonumber(value)
  return n and n > 0 and n < 2 ^ 53 and math.floor(n) or 0
end

-- Who this connection is. With a token (event.user.authenticated) that decides; without one we believe what the page says.
local function identify(event)
  local q = event.query
  local signed_in = event.user.authenticated
  return {
    room = rooms.valid(q.room) or "lobby",
    user_id = signed_in and event.user.id or clean(q.user, 100) or event.connection_id,
    name = signed_in and clean(event.user.username, LONGEST_NAME) or clean(q.name, LONGEST_NAME) or "Guest",
    named_at = time_of(q.named_at),
    device = clean(q.device, 20) or "desktop",
    client = clean(q.client, 60) or "Browser",
    state = STATES[q.state] and q.state or "online",
  }
end

-- Takes the connection into the room that me names. Where a page was that comes back, and what it missed, is the
-- join's business.
local function enter(me)
  local channel = rooms.channel(me.room)
  return {
    join = channel,
    track = {
      channel = channel,
      user_id = me.user_id,
      name = me.name,
      named_at = me.named_at,
      device = me.device,
      client = me.client,
      state = me.state,
    },
  }
end

-- What to do for each type of message. me is event.state: what is set there is there at the next event.
local on = {}

function on.message(me, m)
  local text, id = clean(m.text, LONGEST_TEXT, true), clean(m.id, 64)
  if not text or not id then
    return nil
  end
  return {
    broadcast_room = {
      event = "message",
      id = id,
      user_id = me.user_id,
      name = me.name,
      text = text,
      at = os.time(),
    },
    after = { name = "typing", cancel = true }, -- the pages know that who has sent it has stopped
  }
end

-- Messages of the room before a position, or the newest. ask is the page's number of its question. The action "history"
-- would send them as well; here the answer says what was asked, and comes also when Redis is away.
function on.earlier(me, m)
  local ok, messages = pcall(ws_history, rooms.channel(me.room), { before = m.before, limit = EARLIER })
  if not ok then
    log.warn("no history", { error = messages }) -- a chat without its past is better than none
    return { send = { event = "earlier", ask = m.ask } }
  end
  return { send = { event = "earlier", ask = m.ask, messages = messages, more = #messages == EARLIER } }
end

-- Typing is told by a broadcast: it is not worth a presence update, which every later visitor would read. It is
-- transient, so no history keeps it. Whoever does not say so again within TYPING_FOR ms has stopped. The timer that
-- tells it is set anew each time.
function on.typing(me, m)
  local typing = m.on == true
  return {
    broadcast_room = { message = { event = "typing", user_id = me.user_id, on = typing }, transient = true },
    after = { name = "typing", ms = typing and TYPING_FOR or nil, cancel = not typing or nil },
  }
end

-- Being away is part of one's presence: who comes later sees it in the list.
function on.state(me, m)
  if not STATES[m.state] or m.state == me.state then
    return nil
  end
  me.state = m.state
  return { set_presence = { channel = rooms.channel(me.room), state = me.state } }
end

function on.name(me, m)
  local name = clean(m.name, LONGEST_NAME)
  if not name then
    return nil
  end
  me.name, me.named_at = name, time_of(m.named_at)
  return { set_presence = { channel = rooms.channel(me.room), name = me.name, named_at = me.named_at } }
end

function on.room(me, m)
  local room = rooms.valid(m.room)
  if not room or room == me.room then
    return nil
  end
  local old = rooms.channel(me.room)
  me.room = room
  return { { leave = old, untrack = old }, enter(me) }
end

function chat_handler(event)
  if event.type == "connect" then
    event.state = identify(event)
    return enter(event.state)
  end
  if event.type == "message" then
    local ok, m = pcall(json.decode, event.message)
    if not ok or type(m) ~= "table" or not on[m.type] then
      log.warn("not a message of this chat", { message = event.message:sub(1, 200) })
      return nil
    end
    return on[m.type](event.state, m)
  end
  if event.type == "timer" then -- "typing"
    return on.typing(event.state, { on = false })
  end
  -- disconnect: nothing to do, room and presence are released after it.
end
