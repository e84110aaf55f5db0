// connect-redis: the session store of an Express application, called as express-session calls it.
import assert from "node:assert";
import { load } from "./load.mjs";

const { createClient } = await load("redis");
const { RedisStore } = await load("connect-redis");
const client = await createClient({ url: `redis://127.0.0.1:${process.argv[2]}` }).connect();
const store = new RedisStore({ client, prefix: "sess:" });
const call = (name, ...args) => new Promise((done, fail) => {
  store[name](...args, (error, answer) => (error ? fail(error) : done(answer)));
});
const session = (user) => ({ user, cookie: { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000) } });

await call("set", "one", session("me"));
await call("set", "two", session("you"));
assert.equal((await call("get", "one")).user, "me");
assert((await client.ttl("sess:one")) > 3500);
await call("touch", "one", session("me"));
assert.equal(await call("length"), 2);
assert.deepEqual((await call("ids")).sort(), ["one", "two"]);
assert.equal((await call("all")).length, 2);
await call("destroy", "one");
assert(!(await call("get", "one")));
await call("clear");
assert.equal(await call("length"), 0);
await client.close();
console.log("done");
