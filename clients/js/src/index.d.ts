// The types of the package, written by hand; test/types.ts uses them.

/** What can be published. What arrives is of the same types, see the table in README.md. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | ArrayBuffer
  | DataView
  | Decimal
  | Fraction
  | UUID
  | DateOnly
  | TimeOnly
  | TimeDelta
  | Complex
  | NDArray
  | TypedArray
  | ClassObject
  | readonly Value[]
  | ReadonlySet<Value>
  | ReadonlyMap<Value, Value>
  | { readonly [key: string]: Value | undefined }
  | { toJSON(): unknown };

/** Typed arrays that are published as arrays of one dimension; a `Uint8Array` is bytes. */
export type TypedArray =
  | Int8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export interface ConnectOptions {
  /** Who this client is, with `password`. */
  user?: string;
  password?: string;
  /** In the place of `user` and `password`. */
  token?: string;
  /** Sends a password or a token to another machine without TLS. */
  allowPlainLogin?: boolean;
  /**
   * Whether a connection that is lost is made again (true), and the bounds of the time between
   * attempts in milliseconds: 50, and doubled up to 5,000.
   */
  reconnect?: boolean | { first?: number; longest?: number };
  /** Whether values keep their types (true), or are what plain JSON has for them. */
  exact?: boolean;
  /** Milliseconds of silence after which the broker is asked whether it is there; 30,000. */
  keepalive?: number | null;
  /**
   * Whether what no pong has confirmed is published again after a lost connection (false), each
   * message with an `id`, by which a stream keeps it once.
   */
  reliable?: boolean;
  /** Characters of messages that may wait to be sent; 16 Mi. */
  buffer?: number;
  /** The class of WebSocket to connect with; the global one, in Node that of `ws`. */
  WebSocket?: new (url: string, protocol: string) => unknown;
  /** In Node alone: the CA certificates in PEM that are trusted in the place of the system's. */
  ca?: string | Uint8Array | (string | Uint8Array)[];
  /** In Node alone: a client certificate and its key, in PEM. */
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
}

/**
 * A client of the broker at `address`: `wss://host/ws`, or `https://host`, where `/ws` is added;
 * without one the host of the page. It connects by itself, and again when it has to. Throws a
 * TypeError or a RangeError for what is no address, no option or no login.
 *
 *     const client = connect("wss://broker.example/ws", { user: "ada", password });
 */
export function connect(address?: string | URL, options?: ConnectOptions): Client;

export type State = "connecting" | "connected" | "disconnected" | "closed";

export interface CallOptions {
  /** Gives the call up: its promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface PublishOptions extends CallOptions {
  /** Whether the value is kept as the last one of its topic (true). */
  retain?: boolean;
  /** Seconds, from 1 to 4294967295, for which it is kept; for ever without. */
  ttl?: number;
  /** 1 to 128 bytes: within two minutes a stream keeps one message of each id. */
  id?: string;
}

/**
 * Where reading a stream begins: with the next message, with all that is kept, with the last one of
 * each topic, with a message's `seq`, or with the first of a time (RFC 3339 in a string).
 */
export type Start = "new" | "all" | "last" | number | Date | (string & {});

export interface SubscribeOptions {
  /**
   * What happens when messages come faster than they are iterated over: the iteration ends with
   * the error `slow-consumer` ("disconnect", the default), the oldest messages make room and are
   * counted in `dropped` ("drop-oldest"), or of each topic only the newest waits ("latest").
   */
  overflow?: "disconnect" | "drop-oldest" | "latest";
  /**
   * Messages that may wait here, 10,000 if nothing is said; with "drop-oldest" and "latest" also at
   * the broker, where otherwise its own limits decide.
   */
  queue?: number;
  /** Whether to be told when a last value is cleared or expires (false). */
  cleared?: boolean;
  /**
   * Whether what is below the filter comes as well (true). Without it the filter means exactly as
   * many segments as it has, as MQTT's does; a trailing `#` gives the subtree back.
   */
  below?: boolean;
  /** Ends the iteration. */
  signal?: AbortSignal;
}

/** Of a subscription that reads a stream. What waits for it waits here alone. */
export interface FollowOptions {
  start: Start;
  /** The name of the stream; needed where several keep these topics. */
  stream?: string;
  /** As in `SubscribeOptions`, but that "disconnect" pauses, and misses nothing. */
  overflow?: "disconnect" | "drop-oldest" | "latest";
  /** Messages that may wait, 10,000 if nothing is said. */
  queue?: number;
  /** Ends the iteration. */
  signal?: AbortSignal;
}

/** What is left out is what it was, or for a new consumer what the broker takes. */
export interface ConsumeOptions {
  /** The consumer's name: letters, digits, `-`, `_` and `.`, of 64 bytes at most. */
  consumer: string;
  /** The name of the stream; needed where several keep these topics. */
  stream?: string;
  /** Where a consumer begins that is not there yet ("new"). */
  start?: Start;
  /** Messages, 1 to 65,536, that may be delivered here and not settled (256). */
  window?: number;
  /** Seconds after which a message that is not settled is delivered again (30). */
  ackWait?: number;
  /** How often a message is delivered before it is a dead letter (5). */
  maxDeliver?: number;
  /** Seconds before a message is delivered again, of which the last holds for all that follow. */
  backoff?: readonly number[];
  /** "topic" for the messages of a topic one after the other ("none"). */
  order?: "topic" | "none";
  /** Whether messages are acknowledged by hand alone (false), and not by iterating on. */
  manual?: boolean;
  /** Ends the iteration. */
  signal?: AbortSignal;
}

export interface Message<T = any> {
  topic: string;
  value: T;
  /** Whether it is the topic's last value, from before the subscription. */
  retained: boolean;
  /** The topic's last value was cleared, or has expired; only where `cleared` was asked for. */
  cleared?: true;
}

/** A message that a stream has kept. */
export interface KeptMessage<T = any> {
  topic: string;
  value: T;
  stream: string;
  /** Its number in the stream; the first has 1. */
  seq: number;
  /** When it was published, by the broker's clock. */
  time: Date;
}

/** A message that a follower reads. */
export type FollowedMessage<T = any> = KeptMessage<T> & Message<T>;

/**
 * A message that a consumer was given. It is settled once. Each method returns whether the broker
 * is told, which it is not where the message is settled, or its consumer has ended. What is not
 * settled when a connection ends is delivered again. `flush` confirms what was said.
 */
export class Delivery<T = any> implements KeptMessage<T> {
  private constructor();
  readonly topic: string;
  readonly value: T;
  readonly stream: string;
  readonly seq: number;
  readonly time: Date;
  /** The name of the consumer. */
  readonly consumer: string;
  /** How often it was delivered, with this time: 1 for the first. */
  readonly attempt: number;
  /** Whether it was acknowledged, given back or rejected, by this object. */
  readonly settled: boolean;
  /** It is done. Without a connection this is said on the next one. */
  ack(): boolean;
  /** It could not be done: it is delivered again, after `delay` seconds if they are given. */
  nak(delay?: number): boolean;
  /** It takes longer: `ackWait` begins anew. */
  touch(): boolean;
  /** It can never be done: it becomes a dead letter. Without a connection this is said later. */
  reject(reason?: string): boolean;
}

/** A client; made by `connect`. All that it sends is routed in the order of the calls. */
export class Client extends EventTarget {
  private constructor();
  /** `disconnected` while the next attempt to connect is waited for; `closed` is final. */
  readonly state: State;
  /** Why there is no connection; undefined while there is one. */
  readonly error: BabelmqError | undefined;
  /** Resolves when the first connection is made and logged in; rejects where none will be. */
  readonly ready: Promise<void>;
  /** Called when the state changes; so are listeners of "state". */
  onstate: ((event: StateEvent) => void) | null;
  /** Called when something that was published is refused; so are listeners of "refused". */
  onrefused: ((event: RefusedEvent) => void) | null;
  /** Called when a stream has messages that cannot be read; so are listeners of "damaged". */
  ondamaged: ((event: DamagedEvent) => void) | null;

  /** Publishes; resolves when the socket has it. `flush` says whether the broker took it. */
  publish(topic: string, value: Value, options?: PublishOptions): Promise<void>;
  /** Clears the last value of a topic, or of all that a filter with a wildcard names. */
  clear(topic: string, options?: CallOptions): Promise<void>;
  /**
   * Resolves when the broker has routed all that was published before, and taken what was said of
   * deliveries; rejects with what it refused, or with a `ConnectionLost` where some of what was
   * published may be lost.
   */
  flush(options?: CallOptions): Promise<void>;
  /** Subscribes to a topic and all below it; wildcards are `+` and `#`. */
  subscribe<T = any>(filter: string, options?: SubscribeOptions): Subscription<T>;
  /** Reads a stream from a start on, and settles nothing. */
  subscribe<T = any>(filter: string, options: FollowOptions): Subscription<T, FollowedMessage<T>>;
  /**
   * Consumes a stream under a name, which the stream remembers. Each message is delivered until it
   * is settled: iterating on acknowledges the one before.
   *
   *     for await (const { topic, value } of client.consume("/orders", { consumer: "billing" })) {
   *       await bill(topic, value);
   *     }
   */
  consume<T = any>(filter: string, options: ConsumeOptions): Consumer<T>;
  /** The last value of a topic; undefined where it holds none. */
  get<T = any>(topic: string, options?: CallOptions): Promise<T | undefined>;
  /** The last 1 to 10,000 messages of a topic that a stream keeps, oldest first. */
  getLast<T = any>(topic: string, count: number, options?: CallOptions): Promise<KeptMessage<T>[]>;
  /** The topics that hold a value, of those that the filter names; sorted. */
  list(filter?: string, options?: CallOptions): Promise<string[]>;
  /** What the broker counts. */
  stats(options?: CallOptions): Promise<any>;
  /** Flushes, ends all iterations, and closes the connection; rejects as `flush` does. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;

  addEventListener(
    type: "state",
    listener: (event: StateEvent) => void,
    options?: AddEventListenerOptions,
  ): void;
  addEventListener(
    type: "refused",
    listener: (event: RefusedEvent) => void,
    options?: AddEventListenerOptions,
  ): void;
  addEventListener(
    type: "damaged",
    listener: (event: DamagedEvent) => void,
    options?: AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void;
}

/** A subscription; made by `Client.subscribe`. `break` in a `for await` cancels it. */
export class Subscription<T = any, M = Message<T>> implements AsyncIterableIterator<M> {
  private constructor();
  readonly filter: string;
  /** Messages that made room for newer ones, here and at the broker. */
  readonly dropped: number;
  /** Whether the broker allows only a part of what was asked for. */
  readonly limited: boolean;
  /** Resolves when the stored values have arrived; rejects where it is refused. */
  readonly ready: Promise<void>;
  next(): Promise<IteratorResult<M, undefined>>;
  return(): Promise<IteratorResult<M, undefined>>;
  /** Ends the iteration; what waits is let go. */
  cancel(): void;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A member of a durable consumer; made by `Client.consume`. `break` in a `for await`, and what
 * throws out of it, ends it: the message that it was at is delivered again, unless it is settled.
 */
export class Consumer<T = any> implements AsyncIterableIterator<Delivery<T>> {
  private constructor();
  readonly filter: string;
  /** The consumer's name. */
  readonly consumer: string;
  /** The name of its stream; undefined until the broker has answered. */
  readonly stream: string | undefined;
  /** Messages that were to be delivered or to be settled when the broker answered. */
  readonly pending: number | undefined;
  /** Resolves when the broker has answered; rejects where it refuses. */
  readonly ready: Promise<void>;
  /** The next message; the one before is acknowledged, unless it is settled or `manual` is on. */
  next(): Promise<IteratorResult<Delivery<T>, undefined>>;
  return(): Promise<IteratorResult<Delivery<T>, undefined>>;
  /** Ends the iteration; what waits, and is not settled, is delivered again. */
  cancel(): void;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}

export class StateEvent extends Event {
  constructor(state: State, error?: BabelmqError);
  readonly state: State;
  readonly error: BabelmqError | undefined;
}

export class RefusedEvent extends Event {
  constructor(error: BabelmqError);
  readonly error: BabelmqError;
}

export class DamagedEvent extends Event {
  constructor(error: BabelmqError);
  readonly error: BabelmqError;
}

export interface ErrorOptions {
  topic?: string;
  fatal?: boolean;
  more?: BabelmqError[];
  cause?: unknown;
}

/** Something was refused, by the broker or by this client, or was lost. */
export class BabelmqError extends Error {
  constructor(code: string, reason: string, options?: ErrorOptions);
  /** A stable word for programs: one of the broker's, or one of this client's. */
  readonly code: string;
  /** What was wrong and what to do, for people. */
  readonly reason: string;
  readonly topic: string | undefined;
  /** Whether the broker ended the connection with it. */
  readonly fatal: boolean;
  /** What else was refused before it was thrown, the first hundred of it. */
  readonly more: BabelmqError[];
}

/** The broker does not log this client in, or wants a login and there is none. This is final. */
export class LoginFailed extends BabelmqError {}

/**
 * The certificate of the broker, or this client's, is not accepted. This is final. Only Node tells
 * it from other reasons why there is no connection; a browser does not let scripts know.
 */
export class CertificateError extends BabelmqError {
  constructor(reason: string, options?: ErrorOptions);
}

/** There is no connection, or it broke with what was published and not confirmed. */
export class ConnectionLost extends BabelmqError {
  constructor(reason: string, options?: ErrorOptions);
}

/** A value holds something that no format can carry, so nothing was sent. */
export class NotPlainData extends BabelmqError {
  constructor(path: string, reason: string);
  /** Where it is, as JavaScript writes it: `value.rows[3]`. */
  readonly path: string;
}

/** A value that is known by its text. The constructor throws a RangeError for what is none. */
declare class Text {
  constructor(text: string);
  readonly text: string;
  toString(): string;
}

/** An exact decimal number, as `1.10`; `Number(price)` is the nearest number. */
export class Decimal extends Text {
  toJSON(): string;
}
/** A fraction of integers, as `1/3`; `Number(share)` is the nearest number. */
export class Fraction extends Text {
  valueOf(): number;
  toJSON(): string;
}
/** A UUID. */
export class UUID extends Text {
  toJSON(): string;
}
/** A day without a time, as `2026-11-29`. */
export class DateOnly extends Text {
  toJSON(): string;
}
/** A time of day without a date, as `12:30:00` or `12:30:00+01:00`. */
export class TimeOnly extends Text {
  toJSON(): string;
}
/** A duration, as `P1DT2H3M4.5S`, to the microsecond. */
export class TimeDelta extends Text {
  /** The duration of so many milliseconds, rounded to microseconds. */
  static of(milliseconds: number): TimeDelta;
  readonly milliseconds: number;
  /** Seconds. */
  toJSON(): number;
}

/**
 * A datetime: a Date, and in `text` what a Date loses: microseconds, the offset and the time zone,
 * or that there is none. Without an offset the Date is the one in the time zone of this machine.
 */
export class DateTime extends Date {
  constructor(text: string);
  readonly text: string;
}

/** A complex number. */
export class Complex {
  constructor(re: number, im: number);
  re: number;
  im: number;
}

/** An array of numpy's: its dtype, its shape, and the bytes of its items in C order. */
export class NDArray {
  constructor(dtype: string, shape: number[], data: Uint8Array);
  /** The array of a typed array's items, of one dimension if no shape is given. */
  static from(array: TypedArray | Uint8Array, shape?: number[]): NDArray;
  readonly dtype: string;
  readonly shape: number[];
  readonly data: Uint8Array;
  /** The items as a typed array, a copy; undefined where JavaScript has none for the dtype. */
  readonly values: TypedArray | Uint8Array | undefined;
}

/** A tuple: an array that is published as one, and that may be a key of a Map. */
export class Tuple<T = any> extends Array<T> {}

/** A frozenset: a Set that is published as one, and that may be a key of a Map. */
export class FrozenSet<T = any> extends Set<T> {}

/** An object of a class: its attributes, and the name of the class, as `app.models.Order`. */
export class ClassObject {
  constructor(className: string, state?: { [key: string]: Value });
  className: string;
  state: { [key: string]: any };
}

// What is not exported above is not exported.
export {};
