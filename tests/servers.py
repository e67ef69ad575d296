"""A real web server on this machine, for downloads."""

import http.server
import threading
from contextlib import contextmanager


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``, from any byte on; may break off or know no ranges."""

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        content = self.server.files.get(self.path.strip("/"))
        if content is None:
            return self.send_error(404, "Not Found")
        asked = self.headers.get("Range") if self.server.ranges else None
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.server.begun.append(begin)
        if begin >= len(content):
            return self.send_error(416)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = self.server.broken_at or len(content)
        self.wfile.write(content[begin:end])

    def log_message(self, *arguments):
        pass


@contextmanager
def serving():
    """A server of ``files``, contents by name; ``url`` is its address.

    Attributes:
        ranges: Whether it serves the rest of a file where that is asked for.
        broken_at: Byte at which it breaks off, or None.
        begun: First byte of each answer so far.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.ranges, server.broken_at, server.begun = {}, True, None, []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
