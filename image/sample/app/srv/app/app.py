# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sample group's web application: a page with a counter, its state as JSON, and a health check."""
import html
import itertools
import json
import os
import signal
import socketserver
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

ADDRESS, PORT = "127.0.0.1", 8000
GREETING = os.environ.get("GREETING", "hello from python")
PAGE = """<!doctype html>
<title>Holdfast sample</title>
<link rel="stylesheet" href="/static/style.css">
<h1>Holdfast sample: {greeting}</h1>
<p>Request {count} since this container started.</p>
<p>Python {version} behind nginx, both from signed layers.</p>
"""

_count = itertools.count(1)
_lock = threading.Lock()


def next_count():
    with _lock:
        return next(_count)


def page(_environ):
    text = PAGE.format(greeting=html.escape(GREETING), count=next_count(), version=sys.version.split()[0])
    return "200 OK", "text/html; charset=utf-8", text


def state(environ):
    body = {"greeting": GREETING, "count": next_count(), "client": environ.get("HTTP_X_FORWARDED_FOR"), "pid": os.getpid(),
            "uid": os.getuid()}
    return "200 OK", "application/json", json.dumps(body)


def health(_environ):
    return "200 OK", "text/plain", "ok\n"


ROUTES = {"/": page, "/state": state, "/healthz": health}


def application(environ, start_response):
    """WSGI entry point (PEP 3333)."""
    handler = ROUTES.get(environ["PATH_INFO"])
    status, kind, text = handler(environ) if handler else ("404 Not Found", "text/plain", "not found\n")
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self):
        # Without the name look-up of the base class: a group may have no resolver.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with make_server(ADDRESS, PORT, application, server_class=Server, handler_class=Handler) as server:
        print(f"sample application on {ADDRESS}:{PORT}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
