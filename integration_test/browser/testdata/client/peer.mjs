// The client in Node, led by a test: each line of input is {id, code}, and is answered by {id, value} or {id, error}.

import { createInterface } from "node:readline";

globalThis.connect = (await import(process.argv[2])).connect;
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, code } = JSON.parse(line);
  try {
    say({ id, value: (await (0, eval)(code)) ?? null });
  } catch (error) {
    say({ id, error: String(error) });
  }
}
process.exit(0);
