#!/usr/bin/env python3
"""A service for handlers of type http (docs/handlers-http.md), with the standard library: checks the signature, answers each event
once.

usage: http-service.py [PORT]     any free port unless given; the secret is in $DESK_SECRET (empty: nothing is checked)
"""
import hashlib, hmac, http.server, json, os, sys, time

secret = os.environ.get("DESK_SECRET", "").encode()
answers = {}  # by Idempotency-Key: an event that is given again gets the same answer

def is_genuine(headers, body):
    stamp = headers.get("X-Matterwire-Timestamp", "0")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False  # somebody may have kept an old one
    wanted = "v1=" + hmac.new(secret, b"v1:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, headers.get("X-Matterwire-Signature", ""))

def answer_to(event):
    words = event["prompt"].split()
    if "card" in words:
        return {"attachments": [{"color": "good", "title": "A card", "text": f"for @{event['user_name']}"}]}
    if "quiet" in words:
        return None
    return f"**{event['user_name']}** wrote {len(words)} words in `{event['channel_name']}`."

class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if secret and not is_genuine(self.headers, body):
            return self.send(403, "text/plain", "the signature is wrong")
        key = self.headers["Idempotency-Key"]
        if key not in answers:
            answers[key] = answer_to(json.loads(body))
        if answers[key] is None:
            self.send(204, "text/plain", "")
        elif isinstance(answers[key], dict):
            self.send(200, "application/json", json.dumps(answers[key]))
        else:
            self.send(200, "text/markdown", answers[key])

    def send(self, status, kind, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Service)
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
