"""A plain HTTP app that knows nothing of Lambda: says what it was asked, with its process id."""

import http.server
import json
import os


class App(http.server.BaseHTTPRequestHandler):
    """Answers every request with itself."""

    def do_GET(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode()
        said = {"method": self.command, "path": self.path, "body": body, "pid": os.getpid()}
        answer = json.dumps(said).encode()
        self.send_response(200 if self.path != "/missing" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", "a=1")
        self.send_header("set-cookie", "b=2")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        """Says nothing."""


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
