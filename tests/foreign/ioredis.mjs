// ioredis: pipelines, MULTI, WATCH, and keys with a time to live.
import assert from "node:assert";
import { load } from "./load.mjs";

const { Redis } = await load("ioredis");
const port = Number(process.argv[2]);
const [redis, other] = [new Redis(port), new Redis(port)];

assert.deepEqual(await redis.multi().set("a", "1").get("a").mget("a", "none").exec(), [
  [null, "OK"], [null, "1"], [null, ["1", null]]]);
assert.deepEqual(await redis.pipeline().set("b", "2").get("b").exec(), [[null, "OK"], [null, "2"]]);
await assert.rejects(redis.multi().set("never", "v").call("FROB").exec(), /EXECABORT/);
assert.equal(await redis.get("never"), null);

await redis.watch("a");
await other.set("a", "2");
assert.equal(await redis.multi().set("a", "3").exec(), null);
assert.equal(await redis.get("a"), "2");
await redis.watch("a");
await redis.unwatch();
await other.set("a", "4");
assert.deepEqual(await redis.multi().set("a", "5").exec(), [[null, "OK"]]);

await redis.multi({ pipeline: false });
assert.equal(await redis.set("c", "1"), "QUEUED");
assert.deepEqual(await redis.exec(), [[null, "OK"]]);
await redis.multi({ pipeline: false });
assert.equal(await redis.discard(), "OK");

assert.equal(await redis.set("short", "v", "EX", 60, "NX"), "OK");
assert.equal(await redis.set("short", "w", "PX", 60, "NX"), null);
assert((await redis.ttl("short")) > 0);
assert.equal(await redis.getdel("short"), "v");
assert.equal(await redis.setex("short", 60, "v"), "OK");
assert.equal(await redis.expire("short", 100), 1);
assert.equal(await redis.persist("short"), 1);
assert.equal(await redis.ttl("short"), -1);
await Promise.all([redis.quit(), other.quit()]);
console.log("done");
