#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fault-registry.py LAYOUT PORT-FILE LOG [CERTIFICATE KEY]: a registry that serves LAYOUT and misbehaves as the repository's name says.

It listens on a free port of 127.0.0.1, writes that to PORT-FILE, and each request to LOG: method, path, Authorization.
"""
import base64
import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import time
import urllib.parse

LAYOUT, PORT_FILE, LOG = sys.argv[1:4]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BASIC = "Basic " + base64.b64encode(b"user:secret").decode()
seen = {}  # requests by path, for what fails at first
put = {}  # manifests that were put, by name
uploads = {}  # blobs that were put, by digest


def blob(digest):
    if digest in uploads:
        return uploads[digest]
    with open(os.path.join(LAYOUT, "blobs/sha256", digest.split(":")[1]), "rb") as f:
        return f.read()


def first_manifest():
    with open(os.path.join(LAYOUT, "index.json")) as f:
        return json.load(f)["manifests"][0]["digest"]


def big_signature():
    """A referrer of the image whose one signature would fill a disk."""
    config = json.loads(blob(first_manifest()))["config"]
    signature = {"mediaType": "application/pkcs7-signature", "digest": "sha256:" + 64 * "0", "size": 1 << 40}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [signature]}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content-Length", len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def challenge(self, text):
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', WWW_Authenticate=text)

    def drop(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def here(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def log(self):
        with open(LOG, "a") as f:
            f.write("%s %s %s\n" % (self.command, self.path, self.headers.get("Authorization", "-")))

    def authorised(self, mode):
        given = self.headers.get("Authorization", "")
        if mode in ("elsewhere", "basic"):
            if given != BASIC:
                self.challenge('Basic realm="test"')
                return False
        if mode in ("token", "hugetoken", "badtoken", "farrealm"):
            if given != "Bearer good-token":
                realm = "http://192.0.2.1/token" if mode == "farrealm" else self.here() + "/token/" + mode
                self.challenge('Bearer realm="%s",service="the service",scope="repository:%s:pull"' % (realm, mode))
                return False
        return True

    def token(self, mode):
        asked = urllib.parse.parse_qs(self.path.split("?")[1])
        if mode == "token" and (self.headers.get("Authorization") != BASIC or asked["scope"] != ["repository:token:pull"]):
            return self.answer(403)
        token = {"hugetoken": "x" * 20000, "badtoken": "good\r\nX-Injected: 1"}.get(mode, "good-token")
        return self.answer(200, json.dumps({"token": token}).encode())

    def do_GET(self):
        self.log()
        part = self.path.split("?")[0].split("/")
        if part[1] == "token":
            return self.token(part[2])
        if part[1] == "elsewhere":
            return self.answer(200, blob(part[2]))
        mode, kind, name = part[2], part[3], part[4]
        if not self.authorised(mode):
            return None
        if kind == "manifests":
            return self.manifest(mode, name)
        if kind == "referrers" and mode == "api":
            entries = [m["descriptor"] for m in put.values() if m["subject"] == name]
            return self.answer(200, json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
        if kind == "referrers" and mode.endswith("pages"):
            return self.page(mode, name)
        if kind == "referrers" and mode == "bigsignature":
            digest = "sha256:" + hashlib.sha256(big_signature()).hexdigest()
            put[digest] = {"body": big_signature()}
            entry = {"mediaType": MANIFEST, "digest": digest, "size": len(big_signature()),
                     "artifactType": "application/vnd.holdfast.manifest.signature"}
            return self.answer(200, json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        return self.blob(mode, name) if kind == "blobs" else self.answer(404)

    def page(self, mode, subject):
        """One referrer a page, behind a first page of none."""
        entries = [m["descriptor"] for m in put.values() if m["subject"] == subject]
        at = int(urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("at", ["0"])[0])
        where = {"farpages": "https://192.0.2.1/", "endlesspages": "?at=0", "lostpages": "/v2/lostpages/nothing/0"}
        link = '<?first>; title="a, b; rel=next"; rel=first, <%s>; rel="x next"' % where.get(mode, "?at=%d" % (at + 1))
        body = json.dumps({"schemaVersion": 2, "manifests": entries[at - 1 : at] if at else []}).encode()
        self.answer(200, body, **({"Link": link} if at < len(entries) or mode != "pages" else {}))

    def manifest(self, mode, name):
        if name in put:
            return self.answer(200, put[name]["body"], Content_Type=MANIFEST)
        if mode == "bigmanifest":
            return self.answer(200, b" " * (5 << 20), Content_Type=MANIFEST)
        if mode == "absent" or name.startswith("sha256-"):
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        body = blob(first_manifest() if name == "1" else name)
        digest = "sha256:" + hashlib.sha256(body if mode != "lyingheader" else b"").hexdigest()
        media_type = "text/html" if mode == "html" else MANIFEST
        return self.answer(200, body, Content_Type=media_type, Docker_Content_Digest=digest)

    def blob(self, mode, name):
        data = blob(name)
        count = seen[self.path] = seen.get(self.path, 0) + 1
        if mode == "hang":
            time.sleep(60)
        elif mode == "loop":
            return self.answer(307, Location=self.path)
        elif mode == "elsewhere":
            return self.answer(307, Location="http://localhost:%d/elsewhere/%s" % (self.server.server_address[1], name))
        elif mode == "downgrade":
            return self.answer(307, Location="http://127.0.0.1:%d%s" % (self.server.server_address[1], self.path))
        elif mode == "faraway":
            return self.answer(307, Location="http://192.0.2.1/" + name)
        elif mode == "file":
            return self.answer(307, Location="file:///etc/passwd")
        elif mode == "wrong":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif mode == "error":
            return self.answer(500)
        elif mode == "flaky" and count == 1:
            return self.drop()
        elif mode == "flaky" and count == 2:
            return self.answer(503)
        elif mode == "more":
            return self.chunked(data + b"x" * (1 << 20))
        elif mode in ("stall", "less") or (mode == "resume" and count == 1):
            self.send_response(200)
            self.send_header("Content-Length", len(data))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if mode == "stall":
                time.sleep(60)
            return self.drop()
        elif mode == "resume":
            first = int(self.headers["Range"].split("=")[1].split("-")[0])
            return self.answer(206, data[first:], Content_Range="bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
        return self.answer(200, data)

    def chunked(self, data):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_HEAD(self):
        self.log()
        self.answer(404)

    def do_POST(self):
        self.log()
        where = "/upload/1" if self.path.split("/")[2] != "awayupload" else "http://192.0.2.1/upload"
        self.answer(202, Location=where)

    def do_PUT(self):
        self.log()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        part = self.path.split("/")
        if part[1] == "upload":
            uploads[urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["digest"][0]] = body
            return self.answer(201)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        manifest = json.loads(body)
        subject = manifest.get("subject", {}).get("digest")
        descriptor = {"mediaType": MANIFEST, "digest": digest, "size": len(body), "artifactType": manifest.get("artifactType")}
        put[part[4]] = {"body": body, "subject": subject, "descriptor": descriptor}
        return self.answer(201, **({"OCI_Subject": subject} if subject else {}))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(PORT_FILE + ".new", "w") as f:
    f.write("%d" % server.server_address[1])
os.rename(PORT_FILE + ".new", PORT_FILE)
threading.Thread(target=server.serve_forever).start()
