#!/usr/bin/python3
"""How late, how far from the edge and how dear is a picture? camera-capture beside the usual ways, in one run.

Every method takes pictures of the same 1080p H.264 stream of GStreamer's RTSP server (tests/peers/rtsp_server.py), at
edges of random phase. Every frame shows its instant, so a picture tells how far from the edge it is. The methods take
turns in rounds, in a new order each time and never two at once, so that noise of the machine hits all alike.

scripts/bench runs this with everything it needs; README.md says how to read the result.
"""
import argparse
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "../../tests/peers")
sys.path.insert(0, PEERS)
import framecode  # noqa: E402
import usual_ways  # noqa: E402
from daemon import Daemon  # noqa: E402
from usual_ways import OneShot, OpenCv  # noqa: E402

WIDTH, HEIGHT, FPS = 1920, 1080, 25
USER, PASSWORD = "cam", "gate-7-open"

# Modes of camera-capture, by the variables that set them. One that the program does not know is left out.
MODES = {
    "cold": {"CAMERA_1_MODE": "cold", "DECODER": "auto"},
    "cold-openh264": {"CAMERA_1_MODE": "cold", "DECODER": "openh264"},
    "cold-libavcodec": {"CAMERA_1_MODE": "cold", "DECODER": "libavcodec"},
    "cold-rust": {"CAMERA_1_MODE": "cold", "DECODER": "rust"},
    "hot": {"CAMERA_1_MODE": "hot", "DECODER": "auto"},
    "hot-openh264": {"CAMERA_1_MODE": "hot", "DECODER": "openh264"},
    "armed": {"CAMERA_1_MODE": "armed", "DECODER": "auto"},
    "auto": {"CAMERA_1_MODE": "auto", "DECODER": "auto"},
    "default": {},
}

STAGES = ("wait", "decode", "frames", "encode", "write", "total")

# What the other build's methods end in.
BEFORE = ", the other build"

FFMPEG, THREAD = "ffmpeg one-shot", "OpenCV thread, always decoding"

NOT_MEASURED = ("go2rtc and mediamtx are not measured: they are Go programs without a Debian package, and this script "
                "builds no Go modules")


class Server:
    """GStreamer's RTSP server in a process of its own."""

    def __init__(self, gop, cache):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", os.path.join(PEERS, "rtsp_server.py"), "--cache", cache, "--gop", str(gop),
             "--width", str(WIDTH), "--height", str(HEIGHT), "--fps", str(FPS), "--auth", "digest", "--user", USER,
             "--password", PASSWORD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline()
        if not ready:
            raise SystemExit("bench: the RTSP server did not start; does scripts/test work?")
        self.port = json.loads(ready)["port"]

    def url(self, login=""):
        return f"rtsp://{login}127.0.0.1:{self.port}/r1"

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def methods_for(options, server, directory):
    """Every way of taking a picture that can be used here, and why others cannot."""
    usable, left_out = [], [NOT_MEASURED]
    builds = [(options.binary, "")] + ([(options.before, BEFORE)] if options.before else [])
    for mode, (binary, which) in itertools.product(options.modes, builds):
        ours = Daemon(binary, f"camera-capture {mode}{which}", MODES[mode], server.url(), USER, PASSWORD,
                      os.path.join(directory, mode + which))
        unknown = ours.unknown_variables()
        if unknown:
            left_out.append(f"{ours.label}: this build does not know {', '.join(unknown)}")
        else:
            usable.append(ours)
    if not usable:
        usable.append(Daemon(options.binary, "camera-capture", {}, server.url(), USER, PASSWORD,
                             os.path.join(directory, "default")))
    with_login = server.url(f"{USER}:{PASSWORD}@")
    usable += [OneShot(label, command) for label, command in usual_ways.commands(with_login).items()]
    if options.opencv:
        usable.append(OpenCv("OpenCV one-shot", options.opencv, "oneshot", with_login))
        usable.append(OpenCv(THREAD, options.opencv, "thread", with_login))
    else:
        left_out.append("OpenCV: not installed")
    return [m for m in usable if not options.only or any(word in m.label for word in options.only)], left_out


def look(shot):
    """Read the instant that a picture shows. A picture without one is no picture."""
    if not shot.path:
        return
    with open(shot.path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        decoded = subprocess.run(["ffmpeg", "-v", "quiet", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
                                 stdin=file, capture_output=True).stdout
    if len(decoded) != WIDTH * HEIGHT:
        shot.failure = f"no picture of {WIDTH}×{HEIGHT} ({size} bytes)"
        return
    reading = framecode.read(np.frombuffer(decoded, dtype=np.uint8).reshape(HEIGHT, WIDTH))
    if reading is None or reading.torn:
        shot.failure = "torn" if reading else "unreadable (grey or damaged)"
        return
    shot.error_ms = reading.unix_ms(shot.edge_ms) - shot.edge_ms


def sync_ms(directory):
    """What it costs to make 300 kB and their name durable here: nothing that keeps a picture can be faster."""
    took = []
    for i in range(21):
        path = os.path.join(directory, f"sync-{i}.jpg")
        data = os.urandom(300_000)
        began = time.perf_counter()
        with open(path, "wb") as file:
            file.write(data)
        usual_ways.sync(path)
        took.append((time.perf_counter() - began) * 1000)
        os.remove(path)
    return statistics.median(took)


def measure(method, rounds, options, gop, directory):
    """One turn of a method: start it, let it settle, look at it idle, take its share of the pictures."""
    shots, idle = [], None
    method.open()
    try:
        if method.is_warm:
            # The map from stream time to our clock settles within seconds, as does a decoder's start.
            time.sleep(3)
            before, began = method.used(), time.monotonic()
            time.sleep(options.idle_seconds / options.rounds)
            after = method.used()
            share = (after.cpu_s - before.cpu_s) / (time.monotonic() - began)
            idle = dict(cpu_percent=share * 100, rss_kib=after.rss_kib)
        share = [n for n in range(options.edges) if n % options.rounds == rounds]
        for n in share:
            # Any phase of the group of pictures. The bounce time of the contact is over by then.
            time.sleep(random.uniform(0.6, 0.6 + gop / FPS))
            shot = method.shot(os.path.join(directory, f"{abs(hash(method.label))}-{n}.jpg"))
            look(shot)
            shots.append(shot)
    finally:
        method.close()
    return shots, idle


def quantile(values, share):
    ordered = sorted(values)
    return ordered[round((len(ordered) - 1) * share)] if ordered else None


def distribution(values, *shares):
    names = {0.5: "median", 0.95: "p95", 0.99: "p99", 1: "max"}
    return {names[share]: quantile(values, share) for share in shares}


def at_half_group(shots, gop):
    """How late a picture from the middle of a group is, by the line through all shots: phases are not alike."""
    frames, late = [shot.stages["frames"] for shot in shots], [shot.latency_ms for shot in shots]
    if len(set(frames)) < 2:
        return quantile(late, 0.5)
    return float(np.polyval(np.polyfit(frames, late, 1), gop / 2))


def summary_of(label, shots, idles, durable_ms, gop):
    good = [shot for shot in shots if shot.is_good]
    errors = [shot.error_ms for shot in good]
    used = [shot.usage for shot in shots if shot.usage]
    row = dict(
        method=label, edges=len(shots), good=len(good), failures=sorted({s.failure for s in shots if not s.is_good}),
        latency_ms=distribution([shot.latency_ms for shot in good], 0.5, 0.95, 1),
        error_ms=dict(distribution([abs(e) for e in errors], 0.5, 0.95, 0.99, 1),
                      signed_median=quantile(errors, 0.5), earliest=min(errors, default=None),
                      latest=max(errors, default=None)),
        cpu_s_per_shot=statistics.mean(u.cpu_s for u in used) if used else None,
        idle_cpu_percent=statistics.mean(i["cpu_percent"] for i in idles) if idles else None,
        rss_mib=max([u.rss_kib for u in used] + [i["rss_kib"] for i in idles], default=0) / 1024,
        noted=sum(shot.note is not None for shot in shots))
    staged = [shot.stages for shot in good if shot.stages]
    if staged:
        row["stages"] = {name: distribution([stages[name] for stages in staged], 0.5, 0.95, 1)
                         for name in STAGES}
        row["half_group_ms"] = at_half_group([shot for shot in good if shot.stages], gop)
        one_frame = [stages["decode"] / max(1, stages["frames"]) for stages in staged]
        row["limit_ms"] = dict(
            as_decoded=quantile([s["wait"] + s["decode"] + durable_ms for s in staged], 0.5),
            one_frame=quantile([s["wait"] + one + durable_ms for s, one in zip(staged, one_frame)], 0.5),
            beyond=quantile([s["total"] - s["wait"] - s["decode"] - durable_ms for s in staged], 0.5))
    return row


def ratios_of(rows):
    """Ours against the commonest way, the usual cure, and the other build."""
    by_label = {row["method"]: row for row in rows}
    found = []
    for row in rows:
        if not row["method"].startswith("camera-capture") or not row["good"] or row["method"].endswith(BEFORE):
            continue
        ratio = dict(method=row["method"])
        ffmpeg, thread = by_label.get(FFMPEG), by_label.get(THREAD)
        if ffmpeg and ffmpeg["good"]:
            for what in ("latency_ms", "error_ms"):
                ratio[f"ffmpeg_{what}_over_ours"] = ffmpeg[what]["median"] / max(1, row[what]["median"])
        if thread and thread["idle_cpu_percent"]:
            ratio["thread_idle_cpu_over_ours"] = thread["idle_cpu_percent"] / max(0.01, row["idle_cpu_percent"])
        before = by_label.get(f"{row['method']}{BEFORE}")
        if before and before["good"]:
            ratio["latency_ms_over_before"] = row["latency_ms"]["median"] / max(1, before["latency_ms"]["median"])
            ratio["half_group_over_before"] = row["half_group_ms"] / max(1, before["half_group_ms"])
        found.append(ratio)
    return found



def text(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


def table(heads, lines):
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    for line in [heads, *lines]:
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:])]).rstrip())


def show(result):
    print(f"\nH.264 High {WIDTH}x{HEIGHT}, {FPS} frames/s, a keyframe every {result['gop']} frames, digest log-in, TCP; "
          f"load {result['load']}\n")
    lines = []
    for row in result["methods"]:
        late, error = row["latency_ms"], row["error_ms"]
        lines.append([row["method"], f"{row['good']}/{row['edges']}",
                      *(text(late[key]) for key in ("median", "p95", "max")),
                      *(text(error[key]) for key in ("median", "p95", "p99", "max", "signed_median")),
                      text(row["cpu_s_per_shot"], 3), text(row["idle_cpu_percent"], 2), text(row["rss_mib"])])
    heads = ["method", "good", "late med", "p95", "max", "off med", "p95", "p99", "max", "signed", "CPU s", "idle %",
             "MiB"]
    table(heads, lines)
    for row in result["methods"]:
        for failure in row["failures"]:
            print(f"  {row['method']}: {row['edges'] - row['good']} without a picture: {failure}")
    staged = [row for row in result["methods"] if "stages" in row]
    print(f"\nwhere the time goes, median ms; 300 kB and their name made durable here: {result['durable_ms']:.1f} ms\n")
    table(["method", *STAGES, "limit", "beyond it", "limit, 1 frame"],
          [[row["method"], *(text(row["stages"][stage]["median"]) for stage in STAGES),
            *(text(row["limit_ms"][limit]) for limit in ("as_decoded", "beyond", "one_frame"))] for row in staged])
    print()
    for ratio in result["ratios"]:
        words = []
        if "ffmpeg_latency_ms_over_ours" in ratio:
            words.append(f"the file is there {ratio['ffmpeg_latency_ms_over_ours']:.1f} times sooner than with {FFMPEG}, "
                         f"the frame {ratio['ffmpeg_error_ms_over_ours']:.0f} times nearer to the edge")
        if "thread_idle_cpu_over_ours" in ratio:
            words.append(f"idle it takes {ratio['thread_idle_cpu_over_ours']:.1f} times less processor than a thread "
                         "that always decodes")
        if "latency_ms_over_before" in ratio:
            words.append(f"the file is there after {ratio['latency_ms_over_before']:.2f} × the median time of the other build, "
                         f"{ratio['half_group_over_before']:.2f} × where half a group is decoded for it")
        if words:
            print(f"{ratio['method']}: {'; '.join(words)}")


def compare(options, gop, directory):
    server = Server(gop, options.cache)
    try:
        methods, left_out = methods_for(options, server, directory)
        durable_ms = sync_ms(directory)
        shots, idles, load = {m.label: [] for m in methods}, {m.label: [] for m in methods}, [os.getloadavg()[0]]
        for number in range(options.rounds):
            for method in random.sample(methods, len(methods)):
                print(f"bench: GOP {gop}, round {number + 1} of {options.rounds}: {method.label}", file=sys.stderr)
                taken, idle = measure(method, number, options, gop, directory)
                shots[method.label] += taken
                idles[method.label] += [idle] if idle else []
            load.append(os.getloadavg()[0])
    finally:
        server.close()
    rows = [summary_of(m.label, shots[m.label], idles[m.label], durable_ms, gop) for m in methods]
    return dict(gop=gop, durable_ms=durable_ms, load=[round(x, 2) for x in load], methods=rows, ratios=ratios_of(rows),
                left_out=left_out,
                shots={label: [{k: v for k, v in asdict(shot).items() if k != "path"} for shot in taken]
                       for label, taken in shots.items()})


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0]
    except FileNotFoundError:
        return None


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith(("model name", "Model"))), "?")
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) // 1024
    return dict(cpu=model, cores=os.cpu_count(), memory_mib=memory, kernel=platform.release(), arch=platform.machine(),
                load=os.getloadavg(), ffmpeg=first_line(["ffmpeg", "-version"]),
                gstreamer=first_line(["gst-launch-1.0", "--version"]))


def parsed():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", required=True, help="camera-capture, release build")
    p.add_argument("--before", help="another build of the program, measured beside this one in every mode")
    p.add_argument("--opencv", help="a Python that has OpenCV")
    p.add_argument("--cache", required=True, help="folder of the encoded loops")
    p.add_argument("--json", required=True, help="file of the result, with every shot")
    p.add_argument("--edges", type=int, default=20, help="edges for each method and each GOP")
    p.add_argument("--rounds", type=int, default=4)
    p.add_argument("--idle-seconds", type=float, default=20)
    p.add_argument("--gops", default="25,50,250", help="frames between keyframes, comma separated; divide 500")
    p.add_argument("--modes", default="cold,cold-openh264,hot", help=f"of camera-capture: {', '.join(MODES)}")
    p.add_argument("--only", default="", help="methods whose name has one of these words, comma separated")
    p.add_argument("--seed", type=int, help="repeats the same phases and order")
    options = p.parse_args()
    options.binary = os.path.abspath(options.binary)
    options.before = options.before and os.path.abspath(options.before)
    options.modes = options.modes.split(",")
    options.only = [word for word in options.only.split(",") if word]
    options.rounds = max(1, min(options.rounds, options.edges))
    for mode in options.modes:
        if mode not in MODES:
            p.error(f"there is no mode {mode}")
    return options


def main():
    options = parsed()
    random.seed(options.seed)
    about = machine() | dict(camera_capture=first_line([options.binary, "--version"]))
    print(f"{about['cpu']}, {about['cores']} cores, {about['memory_mib']} MiB, {about['arch']}, Linux {about['kernel']}, "
          f"load {about['load'][0]:.2f}\n{about['camera_capture']}; {about['ffmpeg']}; {about['gstreamer']}")
    results = []
    for gop in map(int, options.gops.split(",")):
        # On the disk that the pictures would lie on, not in memory.
        beside = os.path.dirname(os.path.abspath(options.json))
        with tempfile.TemporaryDirectory(prefix="bench-", dir=beside) as directory:
            results.append(compare(options, gop, directory))
        show(results[-1])
        with open(options.json, "w") as file:
            json.dump(dict(machine=about, edges=options.edges, rounds=options.rounds, results=results), file, indent=1)
    print()
    for reason in results[0]["left_out"]:
        print(reason)
    print(f"\nevery shot: {options.json}")


if __name__ == "__main__":
    main()
