"""A package index in memory, under the real client."""

from __future__ import annotations

import io
import json
from typing import Any

import requests
import urllib3


class Index(requests.adapters.HTTPAdapter):
    """A package index in memory, under the real client: what it serves, how it fails, and what it was asked."""

    url = "https://index.invalid/simple/"

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.timeouts: list[Any] = []
        self.missing_bytes = 0  # of each file: sent short of the length announced
        self.unreachable = ""  # the start of the addresses that cannot be reached
        self.content_type = "application/vnd.pypi.simple.v1+json"

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        url = str(request.url)
        self.asked.append(url)
        self.timeouts.append(options["timeout"])
        if self.unreachable and url.startswith(self.unreachable):
            raise requests.ConnectionError("no route to host", request=request)
        headers, status, body = {"Content-Type": self.content_type}, 200, b""
        name = url.rsplit("/", 1)[1]
        if url == f"{self.url}small/":
            files = [{"filename": name, "url": f"/files/{name}", "hashes": {}} for name in self.files]
            body = json.dumps({"meta": {"api-version": "1.0"}, "name": "small", "files": files}).encode()
        elif name in self.files:
            body = self.files[name]
            headers["Content-Length"] = str(len(body))
            body = body[: len(body) - self.missing_bytes]
        else:
            status = 404
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False, request_method="GET")
        return self.build_response(request, raw)
