"""Django's cache, by Django's own backend and by django-redis, and its sessions in the cache."""
import sys
import time

import django
from django.conf import settings

url = f"redis://127.0.0.1:{sys.argv[1]}/0"
settings.configure(
    CACHES={
        "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url},
        "django": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url, "KEY_PREFIX": "own"},
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="only for this test",
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import caches  # noqa: E402

for name in ("default", "django"):
    cache = caches[name]
    cache.set("greeting", {"hello": ["world", 1]}, timeout=60)
    assert cache.get("greeting") == {"hello": ["world", 1]}
    assert cache.get("none", "default") == "default"
    assert not cache.add("greeting", "other", timeout=60)
    assert cache.add("new", "v", timeout=60) and cache.get("new") == "v"
    cache.set("for-ever", "v", timeout=None)
    cache.set_many({"a": 1, "b": "two"}, timeout=60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": "two"}
    assert cache.touch("a", timeout=120) and not cache.touch("none", timeout=120)
    assert "a" in cache and "none" not in cache
    cache.delete_many(["a", "b"])
    assert cache.get("a") is None
    assert cache.delete("new") and not cache.delete("new")
    assert cache.get_or_set("computed", lambda: 42, timeout=60) == 42
    cache.set("short", "v", timeout=1)
    assert cache.get("short") == "v"
    deadline = time.monotonic() + 20
    while cache.get("short") is not None:
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.05)

cache = caches["default"]
assert 0 < cache.ttl("greeting") <= 60 and cache.ttl("for-ever") is None
assert cache.expire("for-ever", timeout=50) and 0 < cache.ttl("for-ever") <= 50
assert cache.persist("for-ever") and cache.ttl("for-ever") is None
assert cache.keys("gree*") == ["greeting"]
assert cache.delete_pattern("comp*") == 1

session = SessionStore()
session["user"] = "me"
session.set_expiry(60)
session.save()
again = SessionStore(session_key=session.session_key)
assert again["user"] == "me"
again.delete()
assert "user" not in SessionStore(session_key=session.session_key)
print("done")
