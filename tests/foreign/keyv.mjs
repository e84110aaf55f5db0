// keyv with @keyv/redis: a cache behind one interface.
import assert from "node:assert";
import { load } from "./load.mjs";

const { default: Keyv } = await load("keyv");
const { default: KeyvRedis } = await load("@keyv/redis");
const make = KeyvRedis.default ?? KeyvRedis;
const store = new make(`redis://127.0.0.1:${process.argv[2]}`);
const keyv = new (Keyv.default ?? Keyv)({ store, namespace: "cache" });
keyv.on("error", (error) => { throw error; });

assert(await keyv.set("a", { n: [1, 2] }, 60_000));
assert.deepEqual(await keyv.get("a"), { n: [1, 2] });
assert.equal(await keyv.get("none"), undefined);
assert(await keyv.has("a"));
await keyv.setMany([{ key: "b", value: 1, ttl: 60_000 }, { key: "c", value: "two" }]);
assert.deepEqual(await keyv.getMany(["a", "b", "c", "d"]), [{ n: [1, 2] }, 1, "two", undefined]);
assert(await keyv.delete("b"));
assert(!(await keyv.has("b")));
assert(await keyv.set("short", "v", 100));
const deadline = Date.now() + 20_000;
while ((await keyv.get("short")) !== undefined) assert(Date.now() < deadline, "it does not expire");
await keyv.clear();
assert.equal(await keyv.get("a"), undefined);
await keyv.disconnect();
console.log("done");
