"""redis-py: pipelines as they are by default (a transaction), WATCH, and a lock."""
import sys
import threading
import time

import redis
from redis.exceptions import LockError, ResponseError, WatchError

r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)

assert r.pipeline().set("a", "1").get("a").mget("a", "none").delete("a").get("a").execute() == [
    True, "1", ["1", None], 1, None]
with r.pipeline() as pipe:
    for n in range(10_000):
        pipe.set(f"k{n}", n)
    assert pipe.execute() == [True] * 10_000
try:
    r.pipeline().set("never", "v").execute_command("FROB").execute()
    raise SystemExit("FROB was taken")
except ResponseError:
    assert r.get("never") is None

# Optimistic locking, by hand and with redis-py's helper.
r.set("count", 0)
with r.pipeline() as pipe:
    pipe.watch("count")
    seen = int(pipe.get("count"))
    r.set("count", 41)
    pipe.multi()
    pipe.set("count", seen + 1)
    try:
        pipe.execute()
        raise SystemExit("a watched key has changed, and EXEC has applied its writes")
    except WatchError:
        assert r.get("count") == "41"


def increment(pipe):
    seen = int(pipe.get("count"))
    pipe.multi()
    pipe.set("count", seen + 1)


def increment_often():
    mine = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
    for _ in range(50):
        mine.transaction(increment, "count")


threads = [threading.Thread(target=increment_often) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert r.get("count") == str(41 + 4 * 50), r.get("count")

# A lock is a SET with NX and PX. (It is released by a script or by its end; scripts are refused here.)
first, second = r.lock("the-lock", timeout=0.5), r.lock("the-lock", timeout=0.5)
assert first.acquire(blocking=False)
assert not second.acquire(blocking=False)
assert first.locked() and first.owned() and not second.owned()
started = time.monotonic()
assert second.acquire(blocking_timeout=10), "the first has ended"
assert time.monotonic() - started < 5
assert second.owned() and not first.owned()
try:
    second.release()
except (ResponseError, LockError):
    pass
print("done")
