"""The usual ways to get a still from an RTSP camera: a program run for each picture, and a thread that always decodes.

Their pictures are synced by the caller's side of the measurement, as a careful script would do it.
"""
import os
import subprocess
import time

import processes
from shot import Shot

# A keyframe may be ten seconds away, and connecting takes a few.
SHOT_S = 40


def sync(path):
    """Make a file and its name durable."""
    for name, flags in ((path, os.O_RDONLY), (os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(name, flags)
        os.fsync(descriptor)
        os.close(descriptor)


def finished(edge, path, usage):
    """The shot that ends now."""
    if usage is None:
        return Shot(edge_ms=edge * 1000, failure=f"no end within {SHOT_S} s")
    if not os.path.exists(path) or not os.path.getsize(path):
        return Shot(edge_ms=edge * 1000, usage=usage, failure="no file")
    sync(path)
    return Shot(edge_ms=edge * 1000, latency_ms=(time.time() - edge) * 1000, usage=usage, path=path)


class OneShot:
    """A command that connects, takes one picture and ends. `{out}` in it is the file."""

    is_warm = False

    def __init__(self, label, command):
        self.label, self.command = label, command

    def open(self):
        pass

    def shot(self, path):
        command = [word.replace("{out}", path) for word in self.command]
        edge = time.time()
        return finished(edge, path, processes.run_to_end(command, SHOT_S))

    def close(self):
        pass


class OpenCv:
    """OpenCV in a Python process that is already running, as in a user's program."""

    def __init__(self, label, python, way, url):
        self.label, self.way = label, way
        self.is_warm = way == "thread"
        self.command = [python, os.path.join(os.path.dirname(__file__), "opencv_worker.py"), way, url]
        self.child = None

    def open(self):
        environment = dict(os.environ, OPENCV_FFMPEG_CAPTURE_OPTIONS="rtsp_transport;tcp", OPENCV_LOG_LEVEL="SILENT",
                           OPENCV_FFMPEG_LOGLEVEL="-8")
        self.child = subprocess.Popen(self.command, env=environment, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.child.stdout.readline() != "ready\n":
            raise RuntimeError(f"{self.label}: the worker did not start")

    def shot(self, path):
        before = processes.cpu_of(self.child.pid)
        edge = time.time()
        print(path, file=self.child.stdin, flush=True)
        self.child.stdout.readline()
        usage = processes.Usage(processes.cpu_of(self.child.pid) - before, processes.rss_kib(self.child.pid))
        return finished(edge, path, usage)

    def used(self):
        return processes.Usage(processes.cpu_of(self.child.pid), processes.rss_kib(self.child.pid))

    def close(self):
        # It ends when its standard input does.
        self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            processes.stop(self.child)


def commands(url):
    """The one-shot commands, by label."""
    ffmpeg = ["ffmpeg", "-loglevel", "quiet", "-nostdin"]
    still = ["-frames:v", "1", "-y", "{out}"]
    return {
        "ffmpeg one-shot": [*ffmpeg, "-rtsp_transport", "tcp", "-i", url, *still],
        "ffmpeg one-shot, low delay": [
            *ffmpeg, "-rtsp_transport", "tcp", "-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32",
            "-analyzeduration", "0", "-i", url, *still],
        "GStreamer one-shot": [
            "gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "protocols=tcp", "latency=0", "!", "rtph264depay",
            "wait-for-keyframe=true", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!", "jpegenc",
            "snapshot=true", "!", "filesink", "location={out}"],
    }
