"""A gateway that checks signatures with the vendor's own SDK (PyPI huaweicloudsdkcore), for tests/it/vendor.rs.

It signs what arrived anew, with the SDK's signer and the headers that the request says it signed, and compares. It answers
as the gateway does: 200 where both agree, 401 with APIGW.0301 where they do not. It knows nothing of signing itself.

Usage: verify.py ACCESS_KEY SECRET_KEY. Listens on a free loopback port, prints it, and ends when standard input does.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer


def signed_names(authorization):
    """The names after SignedHeaders=; none where there is no such list."""
    _, _, rest = authorization.partition("SignedHeaders=")
    names, _, _ = rest.partition(",")
    return [name for name in names.split(";") if name]


def expected(signer, handler, body):
    """What the SDK would have written into Authorization for this request."""
    path, _, query = handler.path.partition("?")
    names = signed_names(handler.headers.get("Authorization", ""))
    request = SdkRequest(
        method=handler.command,
        schema="http",
        host=handler.headers.get("Host"),
        resource_path=path,
        query_params=parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)),
        header_params={name: handler.headers.get(name, "") for name in names},
        body=body,
    )
    return signer.sign(request).header_params["Authorization"]


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    signer = None

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # Without a date in the request the SDK would make one up.
        dated = "x-sdk-date" in signed_names(self.headers.get("Authorization", ""))
        if dated and self.headers.get("Authorization") == expected(self.signer, self, body):
            tasks = self.command == "GET" and self.path.partition("?")[0].endswith("/sync-tasks")
            self.answer(200, {"tasks": [], "count": 0} if tasks else {"sync_task_id": "t1"})
        else:
            said = "Incorrect IAM authentication information: verify aksk signature fail"
            self.answer(401, {"error_code": "APIGW.0301", "error_msg": said})

    do_POST = do_PUT = do_DELETE = do_GET

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: the test speaks."""


def main():
    Gateway.signer = Signer(BasicCredentials(ak=sys.argv[1], sk=sys.argv[2], project_id="p"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
