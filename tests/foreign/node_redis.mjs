// node-redis: MULTI as its users write it, and WATCH.
import assert from "node:assert";
import { load } from "./load.mjs";

const { createClient, WatchError } = await load("redis");
const url = `redis://127.0.0.1:${process.argv[2]}`;
const client = await createClient({ url }).on("error", (error) => { throw error; }).connect();
const other = await createClient({ url, RESP: 3 }).on("error", (error) => { throw error; }).connect();

assert.deepEqual(await client.multi().set("a", "1").get("a").exec(), ["OK", "1"]);
assert.deepEqual(await other.multi().set("a", "1").get("a").mGet(["a", "none"]).exec(), ["OK", "1", ["1", null]]);
await client.watch("a");
await other.set("a", "2");
await assert.rejects(client.multi().set("a", "3").exec(), WatchError);
assert.equal(await client.get("a"), "2");
await client.watch(["a", "b"]);
assert.deepEqual(await client.multi().set("a", "3").exec(), ["OK"]);
await client.close();
await other.close();
console.log("done");
