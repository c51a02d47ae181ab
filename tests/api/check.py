"""Asks everything of the API's description of a running program, and holds each answer against the description.

    check.py PROGRAM DESCRIPTION [WORD...]

A demonstration of the same program is the camera; the program itself has a password, simulated contacts and a receiver
that takes pictures. Each asker of `RUNS` is a run of schemathesis with a program of its own. WORD chooses among them.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The first password; nothing here can be reached from elsewhere.
PASSWORD = "correct horse battery staple"

# Log-ins are slowed down where they go wrong, and end sessions: their own run, the last.
DOOR = ["/api/login", "/api/setup", "/api/logout", "/api/password"]

# Whoever may not look is not told which methods a path takes: 401 comes before 405.
NO_METHODS = "--exclude-checks=unsupported_method"

# Who asks, and which routes: all but those of the door, only those, or all.
RUNS = {
    "person": ("a person who is logged in", [f"--exclude-path={path}" for path in DOOR]),
    "token": ("a token that may only read", [f"--exclude-path={path}" for path in DOOR]),
    "stranger": ("nobody who is known", [NO_METHODS]),
    "bare": ("nobody who is known, while there is no password", [NO_METHODS]),
    "demo": ("whoever is there, in a demonstration with video and clips", []),
    "door": ("a person who comes and goes", [f"--include-path={path}" for path in DOOR]),
}

# Longest start of a debug build on a slow machine.
START_SECONDS = 60

SEED = os.environ.get("API_SEED", "1")
EXAMPLES = os.environ.get("API_EXAMPLES", "60")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes every upload."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def do_HEAD(self):
        self.answer()

    do_GET = do_HEAD

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Program:
    """The program in a folder of its own, until the end of the `with`."""

    def __init__(self, binary, folder, arguments, variables):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log"
        self.process = subprocess.Popen(
            [binary, *arguments], cwd=self.folder, env=variables, stdout=self.log.open("wb"), stderr=subprocess.STDOUT
        )

    def __enter__(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"dashboard listens.*?address=\"?(127\.0\.0\.1:\d+)", self.log.read_text())
            if found:
                self.url = f"http://{found[1]}"
                return self
            time.sleep(0.1)
        self.__exit__()
        sys.exit(f"api-check: the program did not start:\n{self.log.read_text()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(40)


def ask(url, method="GET", body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers, json.loads(answer.read() or b"null")


def demonstration(binary, folder):
    return Program(binary, folder / "demo", ["--demo", "--demo-dir", str(folder / "demo" / "data")],
                   {"BIND_PORT": "0", "PATH": os.environ["PATH"]})


def program(binary, folder, name, cameras, receiver, with_password):
    place = folder / name
    variables = {
        "PATH": os.environ["PATH"],
        "IMAGE_STORAGE_PATH": str(place / "images"),
        "BIND_IP": "127.0.0.1",
        "BIND_PORT": "0",
        "GPIO_ENABLED": "true",
        "GPIO_BACKEND": "sim",
        "S3_API_URL": receiver,
        "DISCORD_WEBHOOK_URL": f"{receiver}discord",
    }
    for n in (1, 2, 3):
        variables[f"CAMERA_{n}_NAME"] = f"r{n}"
        variables[f"CAMERA_{n}_SNAPSHOT_URL"] = f"{cameras}/api/snapshot/r{n}"
    if with_password:
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([binary, "--set-password", "-"], env=variables, input=PASSWORD.encode(), check=True,
                       stdout=subprocess.DEVNULL, cwd=folder)
    return Program(binary, place / "run", [], variables)


def logged_in(url):
    headers, welcome = ask(f"{url}/api/login", "POST", {"password": PASSWORD})
    cookies = "; ".join(value.split(";")[0] for value in headers.get_all("Set-Cookie"))
    return {"Cookie": cookies, "X-CSRF-Token": welcome["csrf_token"]}


def prepare(url, headers):
    """Some pictures, and a token for reading."""
    for camera in ("r1", "r2", "r3") * 3:
        ask(f"{url}/api/capture/{camera}", "POST", headers=headers)
    wish = {"name": "reader", "scope": "read", "password": PASSWORD}
    return ask(f"{url}/api/tokens", "POST", wish, headers)[1]["token"] if headers else None


def schemathesis(asker, url, description, folder, token, chosen):
    report = folder / f"{asker}.ndjson"
    variables = {**os.environ, "API_URL": url, "API_ASKER": asker, "API_PASSWORD": PASSWORD, "PYTHONPATH": str(HERE)}
    if token:
        variables["API_TOKEN"] = token
    command = [
        sys.executable, "-m", "schemathesis.cli", f"--config-file={HERE / 'schemathesis.toml'}", "run", str(description),
        f"--url={url}", f"--seed={SEED}", f"--max-examples={EXAMPLES}", "--continue-on-failure", *chosen,
    ]
    return subprocess.run(command, env=variables, cwd=folder).returncode


def main():
    binary, description, *words = sys.argv[1:]
    binary, description = Path(binary).resolve(), Path(description).resolve()
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    folder = Path(tempfile.mkdtemp(prefix="api-check-"))
    wrong = []
    try:
        with demonstration(binary, folder) as cameras:
            for asker, (says, chosen) in RUNS.items():
                if words and asker not in words:
                    continue
                print(f"\napi-check: {asker}: {says}", flush=True)
                if asker == "demo":
                    prepare(cameras.url, {})
                    code = schemathesis(asker, cameras.url, description, folder, None, chosen)
                else:
                    to = f"http://127.0.0.1:{receiver.server_port}/"
                    with program(binary, folder, asker, cameras.url, to, asker != "bare") as running:
                        token = prepare(running.url, logged_in(running.url)) if asker != "bare" else None
                        code = schemathesis(asker, running.url, description, folder, token, chosen)
                        if running.process.poll() is not None:
                            print("api-check: the program has ended", flush=True)
                            code = 1
                if code:
                    wrong.append(asker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\napi-check: {'found something as ' + ', '.join(wrong) if wrong else 'nothing found'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
