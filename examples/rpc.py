#!/usr/bin/env python3
"""Answers `ping` with `pong`, each once, also over restarts: JSON-RPC with the standard library (docs/rpc.md).

usage: rpc.py [SOCKET]      the daemon's socket; $XDG_RUNTIME_DIR/matterwire.sock unless given
"""
import collections, json, os, socket, sys

path = sys.argv[1] if len(sys.argv) > 1 else os.environ["XDG_RUNTIME_DIR"] + "/matterwire.sock"
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
lines = connection.makefile(encoding="utf-8")
events = collections.deque()
last_id = 0

def receive():
    """The next answer; events that come before it wait in `events`."""
    message = json.loads(next(lines))  # StopIteration: the daemon has ended
    if message.get("method") == "event":
        events.append(message["params"]["event"])
    return message

def call(method, **params):
    global last_id
    last_id += 1
    request = {"jsonrpc": "2.0", "id": last_id, "method": method, "params": params}
    connection.sendall(json.dumps(request).encode() + b"\n")
    while (message := receive()).get("id") != last_id:
        pass
    if "error" in message:
        sys.exit(f"{method}: {message['error']['message']}")
    return message["result"]

subscription = call("stream", consumer="ping-pong", kinds=["post"], credit=10)["subscription"]
print("listening", flush=True)
while True:
    while not events:
        receive()
    event = events.popleft()
    if event["text"].strip() == "ping":  # the key keeps a second try from posting twice
        call("reply", bot=event["bot"], post=event["post_id"], text="pong", key=f"pong-{event['post_id']}")
    call("stream.ack", subscription=subscription, id=event["id"], n=1)
