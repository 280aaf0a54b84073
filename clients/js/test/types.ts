// What a program in TypeScript may write; `tsc` reads it, and nobody runs it.

import {
  BabelmqError,
  connect,
  Decimal,
  type Delivery,
  type KeptMessage,
  LoginFailed,
  NDArray,
  type Message,
  type State,
  Tuple,
  type Value,
} from "babelmq";

interface Weather {
  celsius: number;
  wind?: [number, number];
}

export async function main(): Promise<void> {
  const client = connect("wss://broker.example/ws", {
    user: "ada",
    password: "secret",
    reconnect: { longest: 60_000 },
    reliable: true,
  });
  client.onstate = ({ state, error }) => console.log(state satisfies State, error?.code);
  client.addEventListener("refused", ({ error }) => console.log(error.topic));

  const value: Value = {
    at: new Date(),
    price: new Decimal("1.10"),
    raw: new Uint8Array(3),
    grid: NDArray.from(new Float64Array(6), [2, 3]),
    places: new Map<Value, Value>([[Tuple.from([48, 11]), new Set(["a"])]]),
    count: 2n ** 64n,
    left: undefined,
  };
  await client.publish("/a", value, { retain: false, ttl: 30 });
  // @ts-expect-error: a function is no value
  await client.publish("/a", () => 1);
  // @ts-expect-error: there is no such option
  await client.publish("/a", 1, { retained: true });

  const subscription = client.subscribe<Weather>("/weather", {
    overflow: "latest",
    queue: 10,
    below: false,
  });
  await subscription.ready;
  for await (const message of subscription) {
    const { topic, value, retained }: Message<Weather> = message;
    console.log(topic, value.celsius.toFixed(1), retained, subscription.dropped);
    if (message.cleared) break;
  }
  // @ts-expect-error: there is no such policy
  client.subscribe("/weather", { overflow: "block" });

  const consumer = client.consume<Weather>("/weather", {
    consumer: "archive",
    start: new Date(0),
    backoff: [1, 5.5],
    manual: true,
  });
  for await (const message of consumer) {
    const { value, seq, time, attempt }: Delivery<Weather> = message;
    console.log(value.celsius, seq.toFixed(), time.getTime(), attempt, consumer.pending);
    if (!message.ack()) message.nak(1.5);
  }
  // @ts-expect-error: a consumer has a name
  client.consume("/weather", { start: "all" });
  for await (const { value, seq } of client.subscribe<Weather>("/weather", { start: 5 })) {
    console.log(value.celsius, seq + 1);
  }
  const last: KeptMessage<number>[] = await client.getLast<number>("/weather/oslo", 10);
  await client.publish("/a", last.length, { id: "one" });

  const temperature: number | undefined = await client.get<number>("/weather/oslo");
  const topics: string[] = await client.list("/weather");
  console.log(temperature, topics, await client.stats());
  try {
    await client.flush({ signal: AbortSignal.timeout(1_000) });
  } catch (error) {
    if (error instanceof LoginFailed) console.log("no");
    else if (error instanceof BabelmqError) console.log(error.code, error.reason, error.more);
  }
  await client.close();
}
