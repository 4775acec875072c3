#!/usr/bin/env python3
"""A handler of type process: one program that runs on, JSON lines in and out (docs/handlers-process.md).

It remembers what was said in a conversation for as long as it runs: `list` tells, `forget` forgets, `count 5` counts
slowly while people watch, anything else is remembered.
"""
import json, sys, threading, time

said = {}  # conversation -> what people said in it
lock = threading.Lock()
canceled = set()  # ids of what was stopped

def tell(id, **answer):
    with lock:  # one line at a time, at once
        print(json.dumps({"id": id, **answer}), flush=True)

def count(id, n):
    for i in range(1, n + 1):
        if id in canceled:
            return tell(id, text=f"Stopped at {i - 1}.")
        tell(id, delta=f"{i} ")
        time.sleep(0.3)
    tell(id, done=True)  # the answer is all the deltas together

def answer(id, conversation, text, user):
    words = text.split()
    if text == "help":
        tell(id, text="I know:\n\n- `list`: what I was told here\n- `forget`: no more of it\n"
                      "- `count 5`: a slow answer\n- anything else: I remember it")
    elif text == "list":
        tell(id, text="\n".join(f"- {line}" for line in said.get(conversation, [])) or "Nothing yet.")
    elif text == "forget":
        said.pop(conversation, None)
        tell(id, text="Forgotten.")
    elif len(words) == 2 and words[0] == "count" and words[1].isdigit():
        threading.Thread(target=count, args=(id, min(int(words[1]), 50)), daemon=True).start()
    elif not text:
        tell(id, none=True)
    else:
        said.setdefault(conversation, []).append(f"{user}: {text}")
        tell(id, text=f"I shall remember that, @{user}.")

for line in sys.stdin:  # ends when the daemon closes it
    message = json.loads(line)
    if message.get("cancel"):
        canceled.add(message["id"])
        continue
    try:
        answer(message["id"], message["conversation"], message["text"].strip(), message["event"]["user_name"])
    except Exception as problem:
        print(problem, file=sys.stderr)  # the log is standard error
        tell(message["id"], error=f"{type(problem).__name__}: {problem}")
