"""How soon a page of the lists comes among a million pictures, asked for over HTTP; benches/lists/README.md says more.

The program is started on a site that is made up: rows written straight into its database, and a small file for each of
them. A database that an older version made is brought up to date by the newer one, so the same site measures both.
"""
import argparse
import http.client
import itertools
import json
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

DAY_MS = 86_400_000

# The last day on which there are pictures; in the past, so that the clock does not matter.
LAST_MS = 1_790_000_000_000 // DAY_MS * DAY_MS

# Links to one file; ext4 allows 65 000.
LINKS_MAX = 50_000

# Longest start, in seconds; the first one of a newer version brings the database up to date.
START_S = 600

CAMERAS = (None, "r1", "r4", "r9")
STATES = (None, "delivered", "pending", "dead", "lost", "skipped")
MEDIA = (None, "image/jpeg", "video/mp4")
OUTCOMES = (None, "captured", "coalesced", "failed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """The daemon on a site; nobody answers at the address to which pictures are owed."""

    def __init__(self, binary, site):
        self.port = free_port()
        environment = dict(
            IMAGE_STORAGE_PATH=os.path.join(site, "images"), DATABASE_PATH=os.path.join(site, "camera-capture.db"),
            BIND_IP="127.0.0.1", BIND_PORT=str(self.port), WEB_AUTH_ENABLED="false", IMAGE_RETENTION_DAYS="36500",
            S3_API_URL=f"http://127.0.0.1:{free_port()}/", LOG_FORMAT="json")
        began = time.monotonic()
        self.log = open(os.path.join(site, "log"), "ab")
        self.child = subprocess.Popen([binary], env=environment, cwd=site, stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=subprocess.STDOUT)
        self.connection = None
        while True:
            try:
                self.get("/api/images?limit=1")
                break
            except OSError:
                if self.child.poll() is not None or time.monotonic() > began + START_S:
                    self.close()
                    raise SystemExit(f"the program does not start; {site}/log says why") from None
                time.sleep(0.02)
        self.ready_s = time.monotonic() - began

    def get(self, path):
        """The document at a path, and the milliseconds it took."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            began = time.perf_counter()
            self.connection.request("GET", path)
            answer = self.connection.getresponse()
            body = answer.read()
            took = (time.perf_counter() - began) * 1000
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:200]}")
        return json.loads(body), took

    def close(self):
        self.child.terminate()
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def fill(site, count, per_day):
    """A thousand pictures a day. Most are delivered; some of each state lie far apart, and two stretches of days are all
    of one state, in which any other is hard to find."""
    connection = sqlite3.connect(os.path.join(site, "camera-capture.db"))
    first = LAST_MS + DAY_MS - count // per_day * DAY_MS
    step = DAY_MS // per_day
    connection.create_function("shown_at", 1, lambda i: first + i * step, deterministic=True)
    connection.create_function(
        "place", 1, lambda i: time.strftime("%Y-%m-%d", time.gmtime((first + i * step) // 1000)) + f"/{name(first, step, i)}",
        deterministic=True)
    connection.create_function("name", 1, lambda i: name(first, step, i), deterministic=True)
    connection.create_function("camera", 1, camera, deterministic=True)
    connection.executescript(f"""
        pragma synchronous = off; pragma journal_mode = memory; pragma cache_size = -200000;
        begin;
        create temp table n as
            with recursive n(i) as (select 1 union all select i + 1 from n where i < {count}) select i from n;
        insert into triggers (id, camera, cause, edge_at, boot_id, boot_ms, clock, outcome, seen_at)
            select i, camera(i), 'gpio', shown_at(i), '7f6d3b0e-5a43-4a0e-9a41-0c5d4bb3e7f1', i, 'synced',
                   case when i between {count} / 2 and {count} * 6 / 10 then 'failed' when i % 5000 = 1 then 'failed'
                        when i % 97 = 0 then 'coalesced' else 'captured' end, 1 from n;
        insert into images (id, uid, trigger_id, camera, file_name, path, cause, taken_at, width, height, bytes, sha256,
                            protected, kind)
            select i, randomblob(16), i, camera(i), name(i), place(i), 'gpio', shown_at(i), 1920, 1080, 4, zeroblob(32),
                   i % 100 = 0, case when i % 5 = 2 then 'clip' when i % 5 = 3 then 'best' else 'instant' end from n;
        insert into uploads (image_id, target, state, camera, taken_at)
            select i, 'api',
                   case when i > {count} - {count} / 100 then 'pending' when i % 100003 = 1 then 'lost'
                        when i between {count} * 3 / 10 and {count} * 4 / 10 then 'dead' when i % 3001 = 2 then 'dead'
                        else 'delivered' end, camera(i), shown_at(i) from n;
        commit;
        pragma journal_mode = wal;""")
    paths = [path for (path,) in connection.execute("select path from images order by id")]
    connection.close()
    root = os.path.join(site, "images")
    for number, path in enumerate(paths):
        path = os.path.join(root, path)
        if number % per_day == 0:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        if number % LINKS_MAX == 0:
            original = path
            with open(path, "wb") as file:
                file.write(b"four")
        else:
            try:
                os.link(original, path)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path))
                os.link(original, path)


def camera(i):
    """Three that are busy and one of which there is little."""
    return "r4" if i % 20_011 == 3 else f"r{1 + i % 3}"


def name(first, step, i):
    end = "mp4" if i % 5 == 2 else "jpg"
    return f"{camera(i)}_{(first + i * step) // 1000}.{end}"


def dates(count, per_day, among):
    """Bounds of one request: none, one day, up to a day, from one to another; the first and the last day now and then."""
    days = count // per_day
    first = LAST_MS + DAY_MS - days * DAY_MS
    day = among.choice((0, days - 1)) if among.random() < 0.1 else among.randrange(days)
    start = first + day * DAY_MS
    return among.choice((
        {}, {"from": start, "to": start + DAY_MS}, {"from": start, "to": start + DAY_MS}, {"to": start},
        {"to": start + DAY_MS // 2}, {"from": start}, {"from": start, "to": start + 30 * DAY_MS}))


def measure(program, a):
    """Milliseconds of each request, by filter."""
    among = random.Random(7)
    figures = {}
    lists = [("images", dict(camera=c, state=s, media_type=m)) for c, s, m in itertools.product(CAMERAS, STATES, MEDIA)]
    lists += [("events", dict(camera=c, outcome=o)) for c, o in itertools.product(CAMERAS, OUTCOMES)]
    for what, wanted in lists:
        wanted = {key: value for key, value in wanted.items() if value}
        label = " ".join([what, *wanted.values()])
        took = figures.setdefault(label, [])
        ends = time.monotonic() + a.seconds
        while len(took) < a.requests and (time.monotonic() < ends or len(took) < 10):
            query = dict(wanted, **dates(a.pictures, a.per_day, among))
            # A page and those after it.
            for _ in range(3):
                path = f"/api/{what}?{urllib.parse.urlencode(query)}"
                document, ms = min((program.get(path) for _ in range(a.tries)), key=lambda answer: answer[1])
                took.append((ms, dict(query)))
                if document["next_cursor"] is None:
                    break
                query["cursor"] = document["next_cursor"]
        slowest = max(took, key=lambda pair: pair[0])
        print(f"{label}: {figure([ms for ms, _ in took])}, slowest {slowest[1]}", file=sys.stderr, flush=True)
        figures[label] = [ms for ms, _ in took]
    return figures


def p99(took):
    return sorted(took)[min(len(took) - 1, len(took) * 99 // 100)]


def figure(took):
    return f"median {statistics.median(took):.1f} ms, p99 {p99(took):.1f} ms"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", required=True)
    p.add_argument("--pictures", type=int, default=1_000_000)
    p.add_argument("--per-day", type=int, default=1000)
    p.add_argument("--requests", type=int, default=200, help="of each filter, at most")
    p.add_argument("--tries", type=int, default=1, help="of each page, of which the fastest counts; for a busy machine")
    p.add_argument("--seconds", type=float, default=10, help="of each filter, at most")
    p.add_argument("--site", help="where everything lies; one that is there is measured again (default: a temporary one)")
    p.add_argument("--json", help="also write the figures there")
    a = p.parse_args()
    # The program is started in a folder of its own, where a relative path would count twice.
    for path in ("binary", "site", "json"):
        if getattr(a, path):
            setattr(a, path, os.path.abspath(getattr(a, path)))
    with tempfile.TemporaryDirectory() as temporary:
        site = a.site or temporary
        if not os.path.exists(os.path.join(site, "camera-capture.db")):
            print(f"making {a.pictures} pictures", file=sys.stderr, flush=True)
            os.makedirs(site, exist_ok=True)
            Program(a.binary, site).close()
            fill(site, a.pictures, a.per_day)
        program = Program(a.binary, site)
        try:
            print(f"ready after {program.ready_s:.1f} s", file=sys.stderr, flush=True)
            figures = measure(program, a)
        finally:
            program.close()
    everything = [ms for took in figures.values() for ms in took]
    tries = f", the fastest of {a.tries} tries" if a.tries > 1 else ""
    print(f"\n{a.pictures} pictures, {len(figures)} filters, {len(everything)} pages{tries}\n")
    print("| list and filter | median ms | p99 ms | slowest ms |\n|---|---|---|---|")
    for label, took in [*figures.items(), ("all", everything)]:
        print(f"| {label} | {statistics.median(took):.1f} | {p99(took):.1f} | {max(took):.1f} |")
    if a.json:
        with open(a.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
