"""camera-capture as a method: the program itself, with a simulated contact closed through its HTTP API."""
import http.client
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse

import processes
from shot import Shot

PASSWORD = "correct horse battery staple"

# Longest start, and longest until a keyframe came: with 250 frames between two of them up to ten seconds.
START_S = 60

# A frame is waited for 5 s, then up to 250 frames are decoded.
SHOT_S = 60


class Daemon:
    """One mode of the program. `variables` are those of the mode."""

    is_warm = True

    def __init__(self, binary, label, variables, url, user, password, directory):
        self.label, self.directory = label, directory
        self.images = os.path.join(directory, "images")
        self.binary = binary
        self.environment = dict(
            CAMERA_1_RTSP=url, CAMERA_USERNAME=user, CAMERA_PASSWORD=password, GPIO_ENABLED="true", GPIO_BACKEND="sim",
            IMAGE_STORAGE_PATH=self.images, BIND_IP="127.0.0.1", BIND_PORT="0", LOG_FORMAT="json", **variables)
        self.child = None
        self.captured = {}
        self.changed = threading.Condition()

    def unknown_variables(self):
        """Variables of this mode that the program does not read."""
        told = self.once("--check-config")
        unread = re.findall(r"(\w+): nothing reads this name", told.stderr + told.stdout)
        if told.returncode:
            # A value that this version does not take names its variable, too.
            unread += re.findall(r"^(\w+): ", told.stderr + told.stdout, re.M)
        return sorted(set(unread))

    def once(self, *arguments, text=""):
        os.makedirs(self.directory, exist_ok=True)
        return subprocess.run([self.binary, *arguments], env=self.environment, cwd=self.directory, input=text, text=True,
                              capture_output=True, timeout=START_S)

    def open(self):
        told = self.once("--set-password", "-", text=PASSWORD + "\n")
        if told.returncode:
            raise RuntimeError(f"{self.label}: {told.stderr}")
        self.child = subprocess.Popen([self.binary], env=self.environment, cwd=self.directory, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        address, told = [], []
        threading.Thread(target=self.listen, args=(address, told), daemon=True).start()
        with self.changed:
            if not self.changed.wait_for(lambda: address or self.child.poll() is not None, START_S) or not address:
                raise RuntimeError(f"{self.label} did not start: {told[-3:]}")
        self.address = urllib.parse.urlsplit(address[0]).netloc
        self.headers = {"Content-Type": "application/json"}
        answer, headers = self.ask("POST", "/api/login", dict(password=PASSWORD))
        self.headers |= {"Cookie": headers["Set-Cookie"].split(";")[0], "X-CSRF-Token": answer["csrf_token"]}
        deadline = time.monotonic() + START_S
        while self.ask("GET", "/api/status")[0]["cameras"][0]["state"] != "connected":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.label}: the camera is not connected")
            time.sleep(0.1)

    def listen(self, address, told):
        """Keep what the program says, with the instant at which it was said."""
        for line in self.child.stdout:
            now = time.time()
            told.append(line)
            with self.changed:
                if line.startswith("dashboard: "):
                    address.append(line.split()[1])
                elif line.startswith("{"):
                    event = json.loads(line)
                    fields = event.get("fields", event)
                    if fields.get("message") == "captured":
                        self.captured[fields["file"]] = (now, fields)
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=SHOT_S)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{self.label}: {method} {path}: {answer.status} {text[:200]}")
        return json.loads(text), answer.headers

    def shot(self, _path):
        """Close the contact for a moment; wait for the ledger to say how it ended."""
        newest = self.newest_event()
        before = processes.cpu_of(self.child.pid)
        self.ask("POST", "/api/gpio/sim/r1", dict(pulse_ms=30))
        deadline = time.monotonic() + SHOT_S
        while (event := self.newest_event()) == newest or not event["outcome"]:
            if time.monotonic() > deadline:
                return Shot(edge_ms=time.time() * 1000, failure="the ledger shows no outcome")
            time.sleep(0.02)
        used = processes.Usage(processes.cpu_of(self.child.pid) - before, processes.rss_kib(self.child.pid))
        edge_ms = event["edge_at_ms"]
        if event["outcome"] != "captured":
            return Shot(edge_ms=edge_ms, usage=used, failure=event["reason"])
        name = event["images"][0]["filename"]
        with self.changed:
            if not self.changed.wait_for(lambda: name in self.captured, 5):
                return Shot(edge_ms=edge_ms, usage=used, failure="the log does not mention the picture")
        # Said when the row was committed, which is after the file was synced and named.
        said_at, fields = self.captured[name]
        stages = {stage: fields[f"{stage}_ms"] for stage in ("wait", "decode", "encode", "write", "total")}
        return Shot(edge_ms=edge_ms, latency_ms=said_at * 1000 - edge_ms, usage=used, path=self.path_of(name),
                    stages=stages | dict(frames=fields["frames"], offset=fields["offset_ms"]),
                    note=event["images"][0].get("note"))

    def newest_event(self):
        events = self.ask("GET", "/api/events?limit=1")[0]["events"]
        return events[0] if events else None

    def path_of(self, name):
        return next((os.path.join(folder, name) for folder, _, names in os.walk(self.images) if name in names), None)

    def used(self):
        return processes.Usage(processes.cpu_of(self.child.pid), processes.rss_kib(self.child.pid))

    def close(self):
        processes.stop(self.child)
