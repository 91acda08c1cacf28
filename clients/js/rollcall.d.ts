/** Opens a connection to a node of Rollcall, and keeps it: when lost it comes back. Throws when `url` is no address. */
export function connect(url: Address | (() => Address | Promise<Address>), options?: Options): Client;

/**
 * Says after how many ms a client comes back when it was closed with `code`; null: not at all. `attempt` counts those in
 * vain, from 0.
 */
export function wait(code: number, attempt: number, random?: number): number | null;

/** ws, wss, http or https; relative to the page where there is one. */
export type Address = string | URL;

export interface Options {
  /** A JWT, or a function that gets one. The function is asked before each attempt; nothing: without a token. */
  token?: string | (() => Token | Promise<Token>);
  /** The route has `token_renewal`: gets a new token before the old one expires. `token` must be a function. */
  renew?: boolean;
  /** The route has `resume`: what was missed while away comes after it. */
  resume?: boolean;
  /** After three attempts in a row that could not open a WebSocket, listens by an EventSource. */
  fallback?: "sse";
  /** How many messages wait while there is no connection; 1,000 by default. */
  outbox?: number;
  /** Whether to come back after a close code of the app's own, 4000 to 4999. By default it stays away. */
  reconnectOn?: (code: number) => boolean;
  /** For where there is none, such as Node 20: that of the package `ws`, say. */
  WebSocket?: unknown;
  /** The same for `fallback`. */
  EventSource?: unknown;
}

export type Token = string | null | undefined;

export type Status = "connecting" | "open" | "waiting" | "closed";

export interface Client {
  readonly status: Status;
  /** Calls `listener` for each event of this name. The result ends that. */
  on<Name extends keyof Events>(name: Name, listener: Events[Name]): () => void;
  /**
   * Sends at once, or when it is open again: a string or bytes as they are, anything else as JSON. Resolved when the
   * message was handed to the socket; it may still be lost with the connection. Rejected when the outbox is full,
   * when the client is closed, or only hears.
   */
  send(value: unknown): Promise<void>;
  /** Who is in a channel. The same object each time. */
  presence<Meta = Record<string, unknown>>(channel: string): Presence<Meta>;
  /** Connects now, whatever it waits for; also when it was open or closed. */
  reconnect(): void;
  /** Closes for good; `code` is 1000, or 3000 to 4999. */
  close(code?: number, reason?: string): void;
}

export interface Events {
  status(status: Status, about: StatusInfo): void;
  /** JSON decoded; text that is none as it is; binary frames as ArrayBuffer. */
  message(data: any, about: MessageInfo): void;
  /** Messages of the channel were missed, and can't be had: read anew what they were about. */
  lost(about: { channel: string; why: "too_many" | "expired" | "fork" | "unknown" | "forgotten" }): void;
  /** The answer to a renewal. `expires_at`: unix seconds; null: never. */
  token(answer: { expires_at?: number | null; error?: string }): void;
}

export interface StatusInfo {
  /** Of the close, for "waiting" and "closed"; 1006: there was none. */
  code?: number;
  reason?: string;
  /** For "waiting": ms until the next attempt. */
  retryIn?: number;
  /** For "open": it only hears (`fallback`). */
  oneWay?: boolean;
}

export interface MessageInfo {
  /** Only with `resume`, for broadcasts of channels with history. */
  channel?: string;
  /** Of the message; none when it is not kept. */
  position?: string;
  /** It was sent while this client was away. */
  missed: boolean;
}

export interface Presence<Meta = Record<string, unknown>> {
  /** As of the last frame, also while there is no connection. */
  readonly users: ReadonlyMap<string, User<Meta>>;
  readonly count: number;
  on<Name extends keyof PresenceEvents<Meta>>(name: Name, listener: PresenceEvents<Meta>[Name]): () => void;
}

/** For each user join and leave alternate. Those who are there at first are told by `sync` alone. */
export interface PresenceEvents<Meta = Record<string, unknown>> {
  /** `users` is complete, after each frame: draw it here. */
  sync(): void;
  join(id: string, user: User<Meta>): void;
  leave(id: string, last: User<Meta>): void;
  update(id: string, now: User<Meta>, before: User<Meta>): void;
}

export interface User<Meta = Record<string, unknown>> {
  /** One for each device, the oldest first. */
  metas: (Meta & { phx_ref: string; connection_id: string; state: string; online_at: number })[];
}
