"""Flask-Session: an application whose sessions are on the server."""
import sys
from datetime import timedelta

import redis
from flask import Flask, session
from flask_session import Session

app = Flask(__name__)
connection = redis.Redis(port=int(sys.argv[1]))
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=connection, PERMANENT_SESSION_LIFETIME=timedelta(hours=1))
Session(app)


@app.get("/add/<item>")
def add(item):
    session["cart"] = session.get("cart", []) + [item]
    return ",".join(session["cart"])


@app.get("/leave")
def leave():
    session.clear()
    return "left"


one, two = app.test_client(), app.test_client()
assert one.get("/add/apples").text == "apples"
assert one.get("/add/pears").text == "apples,pears"
assert two.get("/add/plums").text == "plums"
keys = connection.keys("session:*")
assert len(keys) == 2 and all(0 < connection.ttl(key) <= 3600 for key in keys), keys
assert one.get("/leave").text == "left"
assert len(connection.keys("session:*")) == 1
assert one.get("/add/figs").text == "figs"
print("done")
