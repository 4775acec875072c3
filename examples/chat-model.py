#!/usr/bin/env python3
"""A model server for handlers of type chat (docs/handlers-chat.md) that needs no model and no network: it repeats what was said,
word by word, and calls a tool when a message names it.

usage: chat-model.py [PORT]     any free port unless given
"""
import http.server, json, sys, time

def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "(a picture)") for part in content)

def reply_to(request):
    """Text, or the name of a tool to call."""
    messages = request["messages"]
    results = []
    while messages and messages[-1]["role"] == "tool":
        results.insert(0, text_of(messages.pop()).strip())
    if results:
        return "The tool says: " + "; ".join(results), None
    said = text_of(messages[-1]).split("\n\n")[-1]
    for tool in request.get("tools", []):
        if tool["function"]["name"] in said.split():
            return "", tool["function"]["name"]
    before = sum(message["role"] == "assistant" for message in messages)
    return f"You said: {said}" + (f" (I answered {before} times before.)" if before else ""), None

class Model(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        text, tool = reply_to(request)
        for i, word in enumerate(text.split(" ")):
            self.chunk({"content": " " * (i > 0) + word})
            time.sleep(0.03)
        if tool:
            self.chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": "{}"}}]})
        self.chunk({}, "tool_calls" if tool else "stop")
        tokens = {"prompt_tokens": sum(len(text_of(m).split()) for m in request["messages"]), "completion_tokens": len(text.split())}
        self.event(json.dumps({"choices": [], "usage": tokens}))
        self.event("[DONE]")

    def chunk(self, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event(json.dumps({"object": "chat.completion.chunk", "choices": [choice]}))

    def event(self, data):
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Model)
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
