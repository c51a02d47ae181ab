"""How fast a backlog drains: camera-capture beside `rclone copy`, to the same S3 engine, in turns.

Both send the same files from the same disk to s3s-fs on loopback, which checks signatures. A turn of camera-capture
counts from the start of the program, its backlog on the disk from an earlier life, to the last confirmation; a turn of
rclone from its start to its end. The table gives medians and, beside them, the range; benches/drain/README.md says more.
"""
import argparse
import hashlib
import json
import os
import secrets
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

ACCESS_KEY, SECRET_KEY, BUCKET = "AKIDBENCH", "bench-secret-key", "pictures"

# Pictures are named by the second; this is the first one.
EPOCH_S = 1_790_000_000

# Longest turn, and longest adoption of the backlog.
TURN_S = 1800

# Longest time without a further picture in the database before something is wrong, in seconds.
STALL_S = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_pictures(folder, count, size):
    """Whole JPEGs of one picture, each of `size` bytes and unlike the others: random bytes in comment segments."""
    base = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=640x360", "-frames:v", "1", "-f", "mjpeg", "-"],
        capture_output=True, check=True).stdout
    names = []
    for i in range(count):
        epoch = EPOCH_S + i
        comments, left = [], size - len(base)
        while left > 4:
            length = min(left - 4, 65_000)
            comments.append(b"\xff\xfe" + (length + 2).to_bytes(2, "big") + secrets.token_bytes(length))
            left -= length + 4
        # One folder a day, as the program lays them out.
        day = os.path.join(folder, time.strftime("%Y-%m-%d", time.gmtime(epoch)))
        os.makedirs(day, exist_ok=True)
        names.append(f"r1_{epoch}.jpg")
        with open(os.path.join(day, names[-1]), "wb") as file:
            file.write(base[:2] + b"".join(comments) + base[2:])
    subprocess.run(["sync", "-f", folder], check=True)
    return names


class Engine:
    """s3s-fs with an empty bucket."""

    def __init__(self, binary, folder):
        self.folder = tempfile.mkdtemp(dir=folder)
        os.mkdir(os.path.join(self.folder, BUCKET))
        self.port = free_port()
        self.child = subprocess.Popen(
            [binary, "--host", "127.0.0.1", "--port", str(self.port), "--access-key", ACCESS_KEY, "--secret-key",
             SECRET_KEY, self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                if self.child.poll() is not None:
                    raise SystemExit("s3s-fs does not start") from None
                time.sleep(0.02)

    def check(self, pictures):
        """Every picture is there, byte for byte."""
        bucket = os.path.join(self.folder, BUCKET)
        found = {}
        for path, _, names in os.walk(bucket):
            for name in names:
                if name.endswith(".jpg"):
                    found[name] = digest(os.path.join(path, name))
        if found != pictures:
            missing = len(pictures.keys() - found.keys())
            raise SystemExit(f"{missing} pictures are missing in the bucket, or some differ")

    def close(self):
        self.child.terminate()
        self.child.wait()
        shutil.rmtree(self.folder)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def finish(child, limit_s):
    """Wait for a process; its processor time in s and its most memory in KiB."""
    deadline = time.monotonic() + limit_s
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss
        if time.monotonic() > deadline:
            child.kill()
            raise SystemExit("a turn took too long")
        time.sleep(0.005)


def ours(a, site, engine, count, parallel):
    """One turn of camera-capture with so many uploads at once."""
    environment = dict(
        IMAGE_STORAGE_PATH=os.path.join(site, "images"), BIND_IP="127.0.0.1", BIND_PORT="0", LOG_FORMAT="json",
        IMAGE_RETENTION_DAYS="36500", S3_ENDPOINT=f"http://127.0.0.1:{free_port()}", S3_BUCKET=BUCKET,
        S3_ACCESS_KEY_ID=ACCESS_KEY, S3_SECRET_ACCESS_KEY=SECRET_KEY, S3_UPLOAD_PARALLEL=str(parallel))
    database = os.path.join(site, "camera-capture.db")
    for name in os.listdir(site):
        if name.startswith("camera-capture.db"):
            os.remove(os.path.join(site, name))

    def start(told):
        return subprocess.Popen([a.binary], env=environment, cwd=site, text=True, stdin=subprocess.DEVNULL, stdout=told,
                                stderr=subprocess.STDOUT)

    # An earlier life: the pictures are taken note of, and nobody answers at the address they are owed to.
    with tempfile.TemporaryFile("w+") as told:
        child = start(told)
        seen, deadline = 0, time.monotonic() + STALL_S
        while seen < count:
            time.sleep(0.2)
            before, seen = seen, pending(database)
            if seen > before:
                deadline = time.monotonic() + STALL_S
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                child.wait()
                told.seek(0)
                raise SystemExit(f"{seen} of {count} pictures were taken note of in {site}; the program said: {told.read()[-800:]}")
        child.terminate()
        child.wait()

    environment["S3_ENDPOINT"] = f"http://127.0.0.1:{engine.port}"
    began = time.monotonic()
    child = start(subprocess.PIPE)
    delivered = 0
    for line in child.stdout:
        if '"message":"delivered"' in line:
            delivered += 1
            if delivered == count:
                break
    took = time.monotonic() - began
    child.terminate()
    rest = child.stdout.read()
    code, cpu_s, rss_kib = finish(child, 60)
    if code or delivered < count:
        raise SystemExit(f"camera-capture ended with {code} after {delivered}: {rest[-400:]}")
    return took, cpu_s, rss_kib


def pending(database):
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return connection.execute("select count(*) from uploads where state = 'pending'").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def rclone(site, engine, transfers):
    """One turn of rclone with so many transfers at once."""
    remote = dict(TYPE="s3", PROVIDER="Other", ENDPOINT=f"http://127.0.0.1:{engine.port}", REGION="us-east-1",
                  ACCESS_KEY_ID=ACCESS_KEY, SECRET_ACCESS_KEY=SECRET_KEY)
    # Nothing of the user's own, such as another bundle of certificates.
    environment = dict(PATH=os.environ["PATH"], HOME=site, RCLONE_CONFIG="/dev/null",
                       **{f"RCLONE_CONFIG_B_{name}": value for name, value in remote.items()})
    began = time.monotonic()
    child = subprocess.Popen(
        ["rclone", "copy", "--transfers", str(transfers), "--s3-no-check-bucket", "--exclude", ".*/**",
         os.path.join(site, "images"), f"b:{BUCKET}"], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL)
    code, cpu_s, rss_kib = finish(child, TURN_S)
    if code:
        raise SystemExit(f"rclone ended with {code}")
    return time.monotonic() - began, cpu_s, rss_kib


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", required=True)
    p.add_argument("--engine", required=True, help="s3s-fs")
    p.add_argument("--pictures", type=int, default=5000)
    p.add_argument("--size", type=int, default=300_000, help="bytes of a picture")
    p.add_argument("--turns", type=int, default=3, help="of each")
    p.add_argument("--parallel", default="1,4", help="uploads at once")
    p.add_argument("--directory", help="where everything lies meanwhile; default: a temporary one")
    p.add_argument("--json", help="also write the figures there")
    a = p.parse_args()
    # The program is started in a folder of its own, where a relative path would count twice.
    for name in ("binary", "engine", "directory", "json"):
        if getattr(a, name):
            setattr(a, name, os.path.abspath(getattr(a, name)))
    print(f"making {a.pictures} pictures", flush=True)
    figures = {}
    with tempfile.TemporaryDirectory(dir=a.directory) as site:
        pictures = os.path.join(site, "images")
        names = make_pictures(pictures, a.pictures, a.size)
        digests = {}
        for path, _, files in os.walk(pictures):
            digests |= {name: digest(os.path.join(path, name)) for name in files}
        assert sorted(digests) == names
        ways = []
        for parallel in map(int, a.parallel.split(",")):
            ways.append((f"camera-capture, {parallel} at once",
                         lambda engine, n=parallel: ours(a, site, engine, a.pictures, n)))
            ways.append((f"rclone copy --transfers {parallel}", lambda engine, n=parallel: rclone(site, engine, n)))
        for _ in range(a.turns):
            for label, way in ways:
                print(f"{label} …", flush=True)
                engine = Engine(a.engine, site)
                try:
                    figures.setdefault(label, []).append(way(engine))
                    engine.check(digests)
                finally:
                    engine.close()
                print(f"{label}: {figures[label][-1][0]:.1f} s", flush=True)
    print(f"\n{a.pictures} pictures of {a.size // 1000} kB, {a.turns} turns each, in turns; medians (range)\n")
    print("| way | seconds | pictures/s | processor s | most memory MB |\n|---|---|---|---|---|")
    for label, turns in figures.items():
        took, cpu, rss = (statistics.median(turn[i] for turn in turns) for i in range(3))
        low, high = min(turn[0] for turn in turns), max(turn[0] for turn in turns)
        rate, mib = a.pictures / took, rss / 1024
        print(f"| {label} | {took:.1f} ({low:.1f}–{high:.1f}) | {rate:.0f} | {cpu:.1f} | {mib:.0f} |")
    if a.json:
        with open(a.json, "w") as file:
            json.dump(figures, file, indent=1)


main()
