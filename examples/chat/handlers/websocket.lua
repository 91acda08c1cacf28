-- The chat. Each event of each connection calls chat_handler, which answers with what to do.
--
-- From the page (JSON text):                        To the page, besides presence_state and presence_diff:
--   {"type":"message","id":"…","text":"…"}            {"event":"message", id, room, user_id, name, text, at, n}
--   {"type":"typing","on":true}                       {"event":"typing", room, user_id, on}
--   {"type":"state","state":"away"}                   {"event":"history", room, messages}
--   {"type":"name","name":"Ada","named_at":1700…}
--   {"type":"room","room":"random"}

local rooms = require("lib.rooms")

local LONGEST_TEXT = 4000 -- bytes
local LONGEST_NAME = 120
local TYPING_FOR = 5000 -- ms
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

-- Takes the connection into the room that me names.
local function enter(me)
  -- Subscribe first and read then: a message that is sent meanwhile is in the history, or comes as a broadcast, or both.
  -- The page knows messages by their id and shows each once.
  local channel = rooms.channel(me.room)
  ws_join(channel)
  local ok, history = pcall(rooms.history, me.room)
  if not ok then
    log.warn("no history", { error = history }) -- Redis is away: a chat without its past is better than none
    history = json.array({})
  end
  return {
    track = {
      channel = channel,
      user_id = me.user_id,
      name = me.name,
      named_at = me.named_at,
      device = me.device,
      client = me.client,
      state = me.state,
    },
    send = { event = "history", room = me.room, messages = history },
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
    broadcast_room = rooms.remember(me.room, {
      event = "message",
      id = id,
      room = me.room,
      user_id = me.user_id,
      name = me.name,
      text = text,
      at = os.time(),
    }),
    after = { name = "typing", cancel = true }, -- the pages know that who has sent it has stopped
  }
end

-- Typing is told by a broadcast: it is not worth a presence update, which every later visitor would read. Whoever does
-- not say so again within TYPING_FOR ms has stopped. The timer that tells it is set anew each time.
function on.typing(me, m)
  local typing = m.on == true
  return {
    broadcast_room = { event = "typing", room = me.room, user_id = me.user_id, on = typing },
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
