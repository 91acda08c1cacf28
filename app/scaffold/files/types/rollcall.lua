---@meta
-- What handlers see, for editors: the Lua language server reads this file, and no node does.

-- Event handlers -----------------------------------------------------------------------------------------------------

---A message: a string goes as it is, anything else as JSON.
---@alias rollcall.Message string|number|boolean|table

---@class rollcall.User
---@field authenticated boolean false without a token
---@field username string "" without a token
---@field id? string the claim sub
---@field roles? string[]
---@field claims? table<string, any> all claims of the token

---An event of a connection.
---@class rollcall.Event
---@field type "connect"|"message"|"disconnect"|"timer"
---@field connection_id string a UUID, unique in the cluster
---@field message string what the client sent (message only)
---@field binary? boolean true for a binary frame (message only)
---@field params table<string, string> of the path
---@field query table<string, string> of the address; of repeated keys the last
---@field headers table<string, string> of the upgrade, names in lower case
---@field user rollcall.User
---@field path string
---@field remote_addr string
---@field code integer how the connection was closed (disconnect only)
---@field reason string (disconnect only)
---@field error? string why the return before was refused (permissions only)
---@field resume? table<string, string> where the client says that it was: channel to position (connect only)
---@field state table the handler's own, kept for the connection's life
---@field name string of the timer (timer only)
---@field data? any of the timer (timer only)

---@class rollcall.Track
---@field channel string
---@field user_id string|number
---@field state? string "online" when it is left out
---@field [string] any metadata that everybody in the channel sees

---@class rollcall.SetPresence
---@field channel string
---@field state? string
---@field [string] any what changes of the metadata; json.null deletes a field

---@class rollcall.Broadcast
---@field channel string
---@field message rollcall.Message
---@field trusted? boolean the app's own, so the client's token is not asked
---@field transient? boolean it is not kept in the channel's history

---@class rollcall.Join
---@field channel string
---@field since? string the position where the client was

---@class rollcall.History
---@field channel string
---@field limit? integer 100, at most 1000
---@field before? string a position

---@class rollcall.Close
---@field code integer 1000, or 4000 to 4999
---@field reason string

---@class rollcall.After
---@field name string the same name replaces
---@field ms? integer 100 to a day
---@field data? any what the event gets
---@field cancel? boolean takes the timer away

---What a handler returns. The actions run in this order; an array of such tables in its own.
---@class rollcall.Action
---@field leave? string|string[] channels to unsubscribe from
---@field join? string|rollcall.Join|(string|rollcall.Join)[] channels to subscribe to
---@field untrack? string|string[] channels to be present in no more
---@field track? rollcall.Track|rollcall.Track[] to be present in a channel
---@field set_presence? rollcall.SetPresence|rollcall.SetPresence[] changes metadata
---@field send? rollcall.Message to this client
---@field send_presence? string|string[] a presence_state of these channels to this client
---@field history? string|rollcall.History the messages that are kept of a channel, to this client
---@field broadcast_room? rollcall.Message|rollcall.Broadcast to the room that was joined last
---@field broadcast_channel? rollcall.Broadcast to a channel
---@field broadcast? rollcall.Message to every connection of the cluster
---@field after? rollcall.After|rollcall.After[] an event of type "timer" later
---@field close? string|rollcall.Close after all others

---@alias rollcall.Actions rollcall.Action|rollcall.Action[]

-- HTTP handlers, and scripts ----------------------------------------------------------------------------------------

---@class rollcall.Request
---@field method string
---@field path string
---@field query table<string, string>
---@field params table<string, string>
---@field headers table<string, string> names in lower case
---@field body any parsed when it is JSON, else a string
---@field user rollcall.User
---@field remote_addr string
---@field is_websocket boolean

---Of an HTTP handler, or of the connection of a script.
---@type rollcall.Request
request = nil

---@class rollcall.Answer
---@field status integer
---@field headers? table<string, string|number|(string|number)[]>
---@field body? any a string as text, anything else as JSON

-- config/routes.lua ---------------------------------------------------------------------------------------------------

---@class rollcall.RouteOptions
---@field api_key? "read"|"publish"|"admin" an API key of this scope is required (HTTP only)
---@field auth? boolean a valid token is required
---@field cors? string[] origins whose pages may call it, or "*" (HTTP only)
---@field permissions? "claims" the token says which channels are allowed
---@field token_renewal? boolean a client may send a new token (WebSockets only)
---@field origins? string[] whose pages may connect, in place of --allowed-origins
---@field max_message? integer bytes, in place of --max-message (WebSockets only)
---@field subprotocols? string[] of the app, the preferred one first (WebSockets only)
---@field resume? boolean broadcasts have positions, and who comes back gets what it missed
---@field presence? "users"|"devices" "devices": clients are told of second devices too

---@param path string such as "/ws/room/:room_id"
---@param handler string "file#function": of handlers/file.lua
---@param options? rollcall.RouteOptions
function router_websocket(path, handler, options) end

---An event stream (SSE), for browsers' EventSource: the handler gets the events of a WebSocket route, but for messages.
---@param path string such as "/feed/:room", also that of a WebSocket route
---@param handler string "file#function": of handlers/file.lua
---@param options? rollcall.RouteOptions
function router_sse(path, handler, options) end

---@param path string
---@param handler string
---@param options? rollcall.RouteOptions
function router_get(path, handler, options) end

---@param path string
---@param handler string
---@param options? rollcall.RouteOptions
function router_post(path, handler, options) end

---@param path string
---@param handler string
---@param options? rollcall.RouteOptions
function router_put(path, handler, options) end

---@param path string
---@param handler string
---@param options? rollcall.RouteOptions
function router_patch(path, handler, options) end

---@param path string
---@param handler string
---@param options? rollcall.RouteOptions
function router_delete(path, handler, options) end

---The event of a job.
---@class rollcall.Job
---@field type "job"
---@field name string
---@field at integer when its period began, ms of the Redis clock

---Calls a handler on one node of the cluster, at most once a period.
---@param name string
---@param options { seconds: integer }
---@param handler string "file#function"
function every(name, options, handler) end

---Keeps the last messages of channels.
---@param pattern string a channel, or what names begin with and a *
---@param options { size: integer, ttl: number } messages, seconds
function history(pattern, options) end

---@class rollcall.HookOptions
---@field channels string|string[] channels, or what names begin with and a *
---@field url? string that events are posted to; url or stream
---@field secret? string|string[] that requests are signed with, needed with url; two during a change
---@field stream? string of Redis, that events are appended to
---@field events? ("join"|"leave"|"update"|"occupied"|"vacated")[] default: join and leave
---@field settle? integer ms; a change that is undone within it is not told

---In config/hooks.lua: tells a back end who is present.
---@param name string
---@param options rollcall.HookOptions
function hook(name, options) end

-- Connections and channels --------------------------------------------------------------------------------------------

---@class rollcall.BroadcastOptions
---@field trusted? boolean
---@field transient? boolean

---@class rollcall.Kept
---@field position string
---@field data any
---@field timestamp integer ms
---@field sender_id? string nil when the API sent it

---@class rollcall.Meta
---@field phx_ref string
---@field connection_id string
---@field state string
---@field online_at integer unix seconds
---@field [string] any

---@class rollcall.Present
---@field user_id string
---@field metas rollcall.Meta[]

---Sends to one connection of the cluster.
---@param connection_id string
---@param message rollcall.Message
---@return boolean sent false when no living node can hold that connection
function ws_send(connection_id, message) end

---@param connection_id string
---@param reason? string
---@return boolean sent
function ws_close(connection_id, reason) end

---To every connection of the cluster.
---@param message rollcall.Message
---@param options? rollcall.BroadcastOptions
---@return true
function ws_broadcast(message, options) end

---@param channel string
---@param message rollcall.Message
---@param options? rollcall.BroadcastOptions
---@return true
function ws_broadcast_room(channel, message, options) end

---The current connection, at once.
---@param channel string
---@return true
function ws_join(channel) end

---@param channel string
---@return true
function ws_leave(channel) end

---@return integer connections in the cluster
function ws_count() end

---@return string[] connection_ids
function ws_clients() end

---@param channel string
---@return string[] connection_ids
function ws_clients_in(channel) end

---Whether the route's permissions allow this connection something.
---@param channel string
---@param verb? "join"|"track"|"publish"|"watch"
---@return boolean allowed
---@return string? why not
function ws_allowed(channel, verb) end

---@param channel string
---@return rollcall.Present[] users the oldest first
function ws_list_presence(channel) end

---@param channel string
---@return integer users
function ws_presence_count(channel) end

---@param channel string
---@param user_id string|number
---@return rollcall.Present?
function ws_get_presence(channel, user_id) end

---@class rollcall.HistoryOptions
---@field since? string a position: what came after it, the oldest first to be given
---@field before? string a position
---@field limit? integer 100, at most 1000
---@field reverse? boolean the newest first

---The messages that are kept of a channel. It raises when the channel has no history.
---@param channel string
---@param options? rollcall.HistoryOptions
---@return rollcall.Kept[]? messages nil when not all since then can be had
---@return string position where the channel stands, or why not
function ws_history(channel, options) end

-- Scripts of scripts/…/NAME.ws.lua ------------------------------------------------------------------------------------

solidb = {}
solidb.ws = {}

---This connection's id.
---@type string
solidb.ws.id = ""

---A text frame. It raises when the connection is closed.
---@param data rollcall.Message
function solidb.ws.send(data) end

---@param data string
function solidb.ws.send_binary(data) end

---@return string? message nil when closed
function solidb.ws.recv() end

---Waits for whatever comes first.
---@param timeout_ms? number
---@return any message
---@return "ws"|"channel"|"presence"|"lost"|"timeout"|"closed" kind
---@return "binary"? binary
function solidb.ws.recv_any(timeout_ms) end

---@param code? integer
---@param reason? string
function solidb.ws.close(code, reason) end

solidb.ws.channel = {}

---@param name string
---@param options? { since: string }
---@return true
---@return { recovered: boolean, missed?: integer, why?: string }? recovery with since
function solidb.ws.channel.subscribe(name, options) end

---@param name string
---@return true
function solidb.ws.channel.unsubscribe(name) end

---@param name string
---@param data any
---@param options? rollcall.BroadcastOptions
---@return true
function solidb.ws.channel.broadcast(name, data, options) end

---@return string[] names
function solidb.ws.channel.list() end

solidb.ws.presence = {}

---@param channel string
---@param user_info table
---@return true
function solidb.ws.presence.join(channel, user_info) end

---@param channel string
---@return true
function solidb.ws.presence.leave(channel) end

---@param channel string
---@return { connection_id: string, user_info: table, joined_at: integer }[]
function solidb.ws.presence.list(channel) end

-- solidb, for apps that come from that server -------------------------------------------------------------------------

---@param message any
function solidb.log(message) end

---Reads as env(name).
---@type table<string, string?>
solidb.env = {}

---@return table<string, integer> counts active_scripts, active_ws, total_scripts_executed, total_ws_connections
function solidb.stats() end

solidb.auth = {}

---@return rollcall.User
function solidb.auth.user() end

---It raises when the client has no token.
---@return true
function solidb.auth.require_auth() end

---It raises when the client's token has neither this role nor the role admin.
---@param role string
---@return true
function solidb.auth.require_role(role) end

-- http: other servers -------------------------------------------------------------------------------------------------

http = {}

---@class rollcall.FetchOptions
---@field method? string
---@field headers? table<string, string|number|string[]>
---@field body? string
---@field json? any in place of body
---@field timeout? integer ms, 5,000 when it is left out, at most 10,000

---Asks another server. The node must allow its host by --http-allow. In a coroutine of coroutine.create it gives way
---until that is resumed again.
---@param url string
---@param options? rollcall.FetchOptions
---@return { status: integer, headers: table<string, string>, body: string }? answer nil: it failed
---@return string? why
function http.fetch(url, options) end

solidb.fetch = http.fetch

-- store: what connections share, in Redis -----------------------------------------------------------------------------

store = {}

---@param key string
---@return any
function store.get(key) end

---@param key string
---@param value any
---@param options? { ttl?: integer, nx?: boolean }
---@return boolean set
function store.set(key, value, options) end

---@param key string
---@return boolean deleted
function store.delete(key) end

---@param key string
---@param by? integer
---@return integer
function store.incr(key, by) end

---@param key string
---@param ms integer
---@return boolean there
function store.expire(key, ms) end

---@param key string
---@param field string
---@return any
function store.hget(key, field) end

---@param key string
---@param field string
---@param value any
---@return true
function store.hset(key, field, value) end

---@param key string
---@param field string
---@return boolean deleted
function store.hdel(key, field) end

---@param key string
---@return table<string, any>
function store.hgetall(key) end

-- JSON, log, crypto and the rest --------------------------------------------------------------------------------------

json = {}

---@type any
json.null = nil

---@param value any
---@return string
function json.encode(value) end

---@param text string
---@return any
function json.decode(text) end

---Marks a table as an array, so that an empty one is [].
---@generic T: table
---@param list T
---@return T
function json.array(list) end

json.stringify = json.encode
json.parse = json.decode
JSON = json
json_encode = json.encode
json_decode = json.decode

log = {}

---@param message string
---@param fields? table
function log.debug(message, fields) end

---@param message string
---@param fields? table
function log.info(message, fields) end

---@param message string
---@param fields? table
function log.warn(message, fields) end

---@param message string
---@param fields? table
function log.error(message, fields) end

crypto = {}

---@return string
function crypto.uuid() end

---@param s string
---@return string hexadecimal
function crypto.sha256(s) end

---@param key string
---@param s string
---@return string hexadecimal
function crypto.hmac_sha256(key, s) end

---@param s string
---@return string
function crypto.base64_encode(s) end

---@param s string
---@return string
function crypto.base64_decode(s) end

---A variable of the app's own: ROLLCALL_APP_NAME.
---@param name string
---@return string?
function env(name) end

---Of os there are three functions only.
os = {}

---@param t? table
---@return integer
function os.time(t) end

---@param format? string
---@param time? integer
---@return string|table
function os.date(format, time) end

---@return number
function os.clock() end

-- Tests: rollcall test ------------------------------------------------------------------------------------------------

---@class rollcall.Client
---@field status integer of the handshake: 101, or of a refusal
---@field body any of a refusal
---@field send fun(message: rollcall.Message, binary?: "binary")
---@field close fun(code?: integer)
---@field drop fun()
---@field expect fun(frame: any): any the next frame fits
---@field await fun(frame: any): any the first that fits
---@field quiet fun(ms?: integer)
---@field closed fun(code?: integer): string

---@class rollcall.FetchAnswer
---@field status? integer
---@field headers? table<string, string>
---@field body? string
---@field json? any
---@field delay? integer ms

---@class rollcall.FetchRequest
---@field method string
---@field url string
---@field headers table<string, string>
---@field body string
---@field json any

---@class rollcall.Test
---@field connect fun(path: string, options?: { node?: integer, token?: table|string, headers?: table }): rollcall.Client
---@field request fun(method: string, path: string, options?: { node?: integer, token?: table|string, headers?: table, body?: string, json?: any, api_key?: boolean }): rollcall.Answer
---@field token fun(claims: table): string
---@field advance fun(ms: integer)
---@field now fun(): integer
---@field nodes fun(n: integer)
---@field kill fun(node: integer)
---@field fetch fun(url: string, answer: rollcall.FetchAnswer|(fun(request: rollcall.FetchRequest): rollcall.FetchAnswer?, string?)?, why?: string) answers http.fetch
---@field equal fun(got: any, want: any)

---@param name string
---@param body fun(t: rollcall.Test)
function test(name, body) end
