"""Flask-Caching: pages and functions that are computed once."""
import sys
import time

from flask import Flask
from flask_caching import Cache

app = Flask(__name__)
cache = Cache(app, config={
    "CACHE_TYPE": "RedisCache", "CACHE_REDIS_PORT": int(sys.argv[1]), "CACHE_REDIS_HOST": "127.0.0.1",
    "CACHE_DEFAULT_TIMEOUT": 60})
calls = []


@app.get("/page")
@cache.cached(timeout=60)
def page():
    calls.append("page")
    return f"page {len(calls)}"


@cache.memoize(timeout=60)
def double(number):
    calls.append(number)
    return 2 * number


client = app.test_client()
assert client.get("/page").text == client.get("/page").text == "page 1"
with app.app_context():
    assert double(2) == double(2) == 4 and double(3) == 6
    assert calls == ["page", 2, 3]
    cache.delete_memoized(double)
    assert double(2) == 4 and calls == ["page", 2, 3, 2]
    assert cache.set("k", [1, 2], timeout=60) and cache.get("k") == [1, 2]
    assert cache.add("k", "other") is False and cache.get("k") == [1, 2]
    assert cache.add("new", "v", timeout=60) and cache.has("new")
    cache.set_many({"a": 1, "b": "two"}, timeout=60)
    assert cache.get_many("a", "b", "c") == [1, "two", None]
    cache.delete_many("a", "b")
    assert cache.get("a") is None and cache.delete("new")
    cache.set("short", "v", timeout=1)
    deadline = time.monotonic() + 20
    while cache.get("short") is not None:
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.05)
print("done")
