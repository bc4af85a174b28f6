"""A server on this machine that speaks OpenAI's protocol and misbehaves when told to."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmseq.remote.answers import Answers
from llmseq.remote.client import RemoteClient
from llmseq.remote.endpoint import EndpointConfig

KEY = "sk-very-secret-0123456789"


class Server:
    """Answers in order of ``script``: "ok" or a way to fail; "ok" when the script is used up."""

    def __init__(self):
        self.script = []
        self.requests = []
        self.say = lambda body: "rose soap"
        self.one_choice = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *rest):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, body, dict(self.headers)))
                how = outer.script.pop(0) if outer.script else "ok"
                if self.headers["Authorization"] != f"Bearer {KEY}":
                    how = 401
                outer.answer(self, how, body)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler, how, body):
        if how == "slow":
            time.sleep(0.6)
        status = how if isinstance(how, int) else 200
        value = {"error": {"message": f"no: {handler.headers['Authorization']}"}}
        if status == 200:
            value = self.embeddings(body) if "input" in body else self.chat(body)
        text = json.dumps(value).encode()
        if how == "bad json":
            text = b'{"choices": [{"mess'
        if how == "empty":
            text = b"{}"
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        if status == 429:
            handler.send_header("Retry-After", "7")
        length = len(text) + (50 if how == "cut off" else 0)
        handler.send_header("Content-Length", str(length))
        try:
            handler.end_headers()
            handler.wfile.write(text)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has left
        if how == "cut off":
            handler.close_connection = True

    def chat(self, body):
        n = 1 if self.one_choice else body["n"]
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for i, text in enumerate([self.say(body)] * n)
        ]
        return {
            "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": choices, "usage": {
                "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100,
            },
        }  # fmt: skip

    def embeddings(self, body):
        rows = [
            {"object": "embedding", "index": i, "embedding": [float(len(text)), 1.0]}
            for i, text in enumerate(body["input"])
        ]
        return {
            "object": "list", "model": body["model"], "data": rows[::-1],
            "usage": {"prompt_tokens": 10, "total_tokens": 10},
        }  # fmt: skip

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()


@pytest.fixture
def connect(server, tmp_path):
    """Make clients of the server; waits are noted in ``sleeps`` and not slept."""
    sleeps = []

    def make(**settings):
        endpoint = EndpointConfig(base_url=server.url, model="m", **settings)
        return RemoteClient(endpoint, Answers(tmp_path / "answers"), sleep=sleeps.append)

    make.sleeps = sleeps
    make.folder = tmp_path / "answers"
    return make
