#!/usr/bin/python3
"""RTSP camera for tests, on GStreamer's RTSP server: nothing in it was written by those who wrote the client.

Every frame shows, as a block code that can be read back from a JPEG (framecode.py), the wall-clock instant it stands
for. The video is encoded once, by the encoder asked for, into a loop of LOOP seconds and kept in a cache folder; frame
i of the loop is sent when Unix time modulo LOOP is i / fps. Serving costs a few percent of a core, and a client joins
in the middle of a group of pictures, as with a camera.

When it serves, it prints one line on standard output: {"port": ..., "control_port": ..., "loops": [files],
"late_ms": from the instant shown to sending it}. It ends when its standard input is closed, so it never outlives the
test that started it. Faults are asked for on the control port, one line each, answered by "ok":

    stall        no more frames; connections stay open
    resume       undo stall
    drop         close every client connection
    gap N        leave out the next N access units (lost frames)
    corrupt N    overwrite bytes in the middle of the next N access units
    shift MS     RTP time stamps jump by MS milliseconds
    second       from the next keyframe on send the second loop (--second): another size, or a flat grey picture
    first        and back
    clients      answer the number of connected clients
"""
import argparse
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstApp, Gio, GLib, GstRtsp, GstRtspServer  # noqa: E402,F401

import framecode  # noqa: E402

SECOND = 10**9
CRA = 21  # NAL unit type of H.265; no such type is among H.264's keyframes


class Codec:
    """How a stream is parsed and sent, and which NAL unit types matter in it (ITU-T H.264 table 7-1, H.265 table 7-1)."""

    def __init__(self, parser, caps, payloader, idr=(), parameter_sets=(), delimiter=None, shift=0, mask=0):
        self.parser, self.caps, self.payloader = parser, caps, payloader
        self.idr, self.parameter_sets, self.delimiter = idr, parameter_sets, delimiter
        self.shift, self.mask = shift, mask

    def kind(self, unit):
        return (unit[0] >> self.shift) & self.mask


CODECS = dict(
    h264=Codec("h264parse", "video/x-h264,stream-format=byte-stream,alignment=au",
               "rtph264pay aggregate-mode=zero-latency", (5,), (7, 8), 9, 0, 31),
    h265=Codec("h265parse", "video/x-h265,stream-format=byte-stream,alignment=au",
               "rtph265pay aggregate-mode=zero-latency", (19, 20, 21), (32, 33, 34), 35, 1, 63),
    mjpeg=Codec("jpegparse", "image/jpeg", "rtpjpegpay"),
)


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


class Picture:
    """What a loop shows."""

    def __init__(self, width, height, is_flat=False):
        self.width, self.height, self.is_flat = width, height, is_flat

    def frames(self, fps, loop_s):
        """Yield I420 frames."""
        if self.is_flat:
            return iter([b"\x80" * (self.width * self.height * 3 // 2)] * (fps * loop_s))
        return render(self.width, self.height, fps, loop_s)


def render(width, height, fps, loop_s):
    """Yield I420 frames: a textured scene, a moving 'vehicle', sensor noise, the code."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 255, (height // 20 + 1, width // 20 + 1)).astype(np.float32)
    scene = np.kron(coarse, np.ones((20, 20), dtype=np.float32))[:height, :width]
    scene = (60 + scene * 0.4 + rng.normal(0, 6, (height, width))).clip(0, 255).astype(np.int16)
    car_h, car_w = height // 3, width // 4
    car = (120 + 60 * np.sin(np.arange(car_w) / 9)[None, :] + 30 * np.sin(np.arange(car_h) / 5)[:, None]
           + rng.normal(0, 10, (car_h, car_w))).clip(0, 255).astype(np.int16)
    noises = [rng.normal(0, 2, (height, width)).astype(np.int16) for _ in range(6)]
    u = np.tile(np.linspace(110, 150, width // 2).astype(np.uint8), (height // 2, 1)).tobytes()
    v = np.tile(np.linspace(140, 115, height // 2).astype(np.uint8)[:, None], (1, width // 2)).tobytes()
    for i in range(fps * loop_s):
        luma = scene.copy()
        x = (i * 11) % (width - car_w)
        luma[height // 3:height // 3 + car_h, x:x + car_w] = car
        luma += np.roll(noises[int(rng.integers(0, len(noises)))], int(rng.integers(0, width)), axis=1)
        luma = luma.clip(0, 255).astype(np.uint8)
        framecode.draw(luma, i * 1000 // fps, loop_s)
        yield luma.tobytes() + u + v


def encoder_of(a):
    """What encodes a loop: words for ffmpeg, or a piece of a GStreamer pipeline."""
    kilobits = int(float(a.bitrate.rstrip("M")) * 1000)
    if a.encoder == "jpegenc":
        return "jpegenc quality=85"
    if a.encoder == "openh264":
        return (f"openh264enc gop-size={a.gop} rate-control=bitrate bitrate={kilobits * 1000} complexity=low "
                f"scene-change-detection=false num-slices={a.slices} ! video/x-h264,profile={a.profile} ! h264parse")
    if a.encoder == "mjpeg":
        return ["-c:v", "mjpeg", "-q:v", "10", "-pix_fmt", "yuvj420p", "-huffman", "default"]
    common = f"keyint={a.gop}:min-keyint={a.gop}:scenecut=0:bframes={a.bframes}:b-adapt=0:open-gop={int(a.open_gop)}"
    more = f":{a.params}" if a.params else ""
    pixels = [] if a.pixels == "yuv420p" else ["-pix_fmt", a.pixels]
    # The samples are converted, and the stream says so.
    full = ["-vf", "scale=out_range=pc", "-color_range", "pc"] if a.full_range else []
    if a.encoder == "x265":
        x265 = f"{common}:rc-lookahead=5:lookahead-slices=1:log-level=error{more}"
        return [*pixels, *full, "-c:v", "libx265", "-preset", "ultrafast", "-b:v", a.bitrate, "-x265-params", x265]
    slices = f":slices={a.slices}" if a.slices > 1 else ""
    x264 = f"{common}:threads=2{slices}" + (":tff=1" if a.interlaced else "") + more
    return [*pixels, *full, "-c:v", "libx264", "-preset", "veryfast", "-profile:v", a.profile, "-b:v", a.bitrate,
            "-maxrate", a.bitrate, "-bufsize", a.bitrate, "-x264-params", x264]


def build_loop(a, picture):
    """Encode the loop unless it is cached; return the path of a Matroska file."""
    encoder, size = encoder_of(a), f"{picture.width}x{picture.height}"
    identity = [encoder, picture.width, picture.height, picture.is_flat, a.fps, a.loop, 6]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    path = os.path.join(a.cache, f"{a.codec}-{size}-{key}.mkv")
    if os.path.exists(path):
        return path
    os.makedirs(a.cache, exist_ok=True)
    log("encoding", path)
    unfinished = f"{path}.{os.getpid()}.mkv"
    frames = picture.frames(a.fps, a.loop)
    if isinstance(encoder, str):
        encode_with_gstreamer(encoder, a, picture, frames, unfinished)
    else:
        encode_with_ffmpeg(encoder, a, size, frames, unfinished)
    os.rename(unfinished, path)
    return path


def encode_with_ffmpeg(encoder, a, size, frames, path):
    ffmpeg = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(a.fps),
         "-i", "-", *encoder, path], stdin=subprocess.PIPE)
    for frame in frames:
        ffmpeg.stdin.write(frame)
    ffmpeg.stdin.close()
    if ffmpeg.wait():
        raise SystemExit("ffmpeg failed")


def encode_with_gstreamer(encoder, a, picture, frames, path):
    reading, writing = os.pipe()
    width, luma = picture.width, picture.width * picture.height
    # Its own idea of the planes has rows of multiples of four bytes.
    planes = (f'plane-strides="<(int){width},(int){width // 2},(int){width // 2}>" '
              f'plane-offsets="<(int)0,(int){luma},(int){luma * 5 // 4}>"')
    pipe = Gst.parse_launch(
        f"fdsrc fd={reading} ! rawvideoparse format=i420 width={width} height={picture.height} {planes} "
        f"framerate={a.fps}/1 ! {encoder} ! matroskamux ! filesink location=\"{path}\"")
    pipe.set_state(Gst.State.PLAYING)
    with open(writing, "wb") as raw:
        for frame in frames:
            raw.write(frame)
    end = pipe.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipe.set_state(Gst.State.NULL)
    os.close(reading)
    if end.type == Gst.MessageType.ERROR:
        raise SystemExit(f"GStreamer failed: {end.parse_error()}")


def nal_units(data):
    """Split an Annex B byte string into NAL units without their start codes."""
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit]


def joined(units):
    return b"".join(b"\0\0\0\1" + unit for unit in units)


class Loop:
    """The access units of an encoded loop in decoding order, ready to be sent."""

    def __init__(self, path, a):
        self.path, codec = path, CODECS[a.codec]
        pipe = Gst.parse_launch(f'filesrc location="{path}" ! matroskademux ! {codec.parser} ! {codec.caps} ! '
                                "appsink name=s sync=false")
        sink = pipe.get_by_name("s")
        pipe.set_state(Gst.State.PLAYING)
        units = []
        while (sample := sink.emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            ok, mapped = buffer.map(Gst.MapFlags.READ)
            units.append((buffer.pts, bytes(mapped.data)))
            buffer.unmap(mapped)
        pipe.set_state(Gst.State.NULL)
        first = min(pts for pts, _ in units)
        nals = [nal_units(data) if codec.idr else [] for _, data in units]
        # Decoding can begin at these; every JPEG is one.
        self.is_key = [not codec.idr or any(codec.kind(u) in codec.idr for u in unit) for unit in nals]
        # Of these the ones before which nothing counts any more: all but the CRA pictures of H.265.
        self.is_idr = [any(codec.kind(u) in codec.idr and codec.kind(u) != CRA for u in unit) for unit in nals]
        self.sets = [u for u in nals[0] if codec.kind(u) in codec.parameter_sets]
        # [(ns from the loop's start, bytes)]
        self.units = [(pts - first, data if not key or not codec.idr else self.keyframe(unit, codec, a))
                      for (pts, data), unit, key in zip(units, nals, self.is_key)]

    def keyframe(self, nals, codec, a):
        """A keyframe with the parameter sets that it is to carry."""
        delimiter = [u for u in nals if codec.kind(u) == codec.delimiter] if a.delimiters else []
        sets = [] if a.parameter_sets == "sdp" else self.sets
        others = [u for u in nals if codec.kind(u) not in (*codec.parameter_sets, codec.delimiter)]
        return joined([*delimiter, *sets, *others])

    @property
    def head(self):
        return joined(self.sets)


class Feed:
    """Pushes the access units of the loop into the appsrc of one mount point."""

    def __init__(self, path, loops, a, faults):
        self.path, self.loops, self.a, self.faults = path, loops, a, faults
        # With B-frames a picture is sent before pictures that are shown earlier: an encoder can only do so this much
        # after the instant it shows.
        self.reorder_ns = max(0, *(pts - self.offset(i) for i, (pts, _) in enumerate(loops[0].units)))

    def offset(self, i):
        return i * SECOND // self.a.fps

    def attach(self, media):
        src = media.get_element().get_by_name("src")
        stop, started = threading.Event(), threading.Event()

        def need(_src, _length):
            if not started.is_set():
                started.set()
                threading.Thread(target=self.run, args=(src, stop), daemon=True).start()
        src.connect("need-data", need)
        media.connect("unprepared", lambda _media: stop.set())

    def run(self, src, stop):
        clock = src.get_clock()
        while clock is None and not stop.is_set():
            time.sleep(0.005)
            clock = src.get_clock()
        if clock is None:
            return
        loop = self.loops[0]
        count, loop_ns = len(loop.units), self.a.loop * SECOND
        delay = self.a.delay_ms * 10**6 + self.reorder_ns
        # Running time of Unix time 0, fixed once so that RTP time stamps are regular.
        zero = (clock.get_time() - src.get_base_time()) - time.time_ns()
        turn, rest = divmod(time.time_ns(), loop_ns)
        j = turn * count + rest * self.a.fps // SECOND + 1
        # Without parameter sets in the first buffer, DESCRIBE answers without sprop-parameter-sets.
        head = loop.head if self.a.parameter_sets == "both" else b""
        while self.a.parameter_sets == "band" and loop.is_key[j % count]:
            j += 1
        log(self.path, "feed started")
        while not stop.is_set():
            turn, i = divmod(j, count)
            if loop.is_key[i]:
                loop = self.loops[int(self.faults["second"])]
            pts, data = loop.units[i]
            due = turn * loop_ns + self.offset(i) + delay
            wait = (due - time.time_ns()) / SECOND
            if wait > 0:
                time.sleep(wait)
            j += 1
            if self.faults["stall"] or (self.a.withhold_idr and loop.is_idr[i]):
                continue
            if self.faults["gap"] > 0:
                self.faults["gap"] -= 1
                continue
            if self.faults["corrupt"] > 0 and len(data) > 400:
                self.faults["corrupt"] -= 1
                k = len(data) // 2
                data = data[:k] + bytes((x ^ 0x5A) | 1 for x in data[k:k + 64]) + data[k + 64:]
            if head and not data.startswith(head):
                data = head + data
            head = b""
            buffer = Gst.Buffer.new_wrapped(data)
            # The RTP time stamp follows the instant shown; the delay keeps it positive.
            buffer.pts = max(0, turn * loop_ns + pts + zero + delay + self.faults["shift"] * 10**6)
            buffer.duration = SECOND // self.a.fps
            if src.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                break
        log(self.path, "feed ended")


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, feed):
        super().__init__()
        self.feed = feed
        self.set_shared(True)

    def do_create_element(self, _url):
        a, codec = self.feed.a, CODECS[self.feed.a.codec]
        size = f",width={a.width},height={a.height},framerate={a.fps}/1" if a.codec == "mjpeg" else ""
        payloader = codec.payloader
        if codec.idr:
            # "sdp": none in the stream itself, as long as the payloader takes them from elsewhere.
            payloader += " config-interval=" + ("0" if a.parameter_sets == "sdp" else "-1")
        if a.parameter_sets == "sdp":
            sets = ",".join(base64.b64encode(u).decode() for u in self.feed.loops[0].sets)
            payloader += f' sprop-parameter-sets="{sets}"'
        return Gst.parse_launch("( appsrc name=src is-live=true format=time do-timestamp=false max-bytes=0 "
                                f"caps={codec.caps}{size} ! {payloader} name=pay0 pt=96 )")

    def do_configure(self, media):
        self.feed.attach(media)


def on_main_loop(work):
    """Run work where GStreamer's server lives and return its result."""
    result, done = [], threading.Event()

    def run():
        result.append(work())
        done.set()
        return False
    GLib.idle_add(run)
    done.wait(5)
    return result[0] if result else None


def obey(line, server, faults):
    words = line.split()
    if words in (["stall"], ["resume"]):
        faults["stall"] = words[0] == "stall"
    elif words in (["first"], ["second"]):
        faults["second"] = words[0] == "second"
    elif len(words) == 2 and words[0] in ("gap", "corrupt", "shift"):
        faults[words[0]] = int(words[1])
    elif words == ["drop"]:
        on_main_loop(lambda: server.client_filter(lambda _server, _client: GstRtspServer.RTSPFilterResult.REMOVE))
    elif words == ["clients"]:
        return str(on_main_loop(lambda: len(server.client_filter(None) or [])))
    else:
        return "unknown"
    return "ok"


def control(listener, server, faults):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as f:
            for line in f:
                f.write(obey(line, server, faults) + "\n")
                f.flush()


def protect(server, a):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    if a.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(a.tls))
    if a.auth == "none":
        auth.set_default_token(token)
    elif a.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(a.user, a.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(a.user, a.password, token)
    server.set_auth(auth)


def permissions():
    granted = GstRtspServer.RTSPPermissions()
    granted.add_permission_for_role("user", "media.factory.access", True)
    granted.add_permission_for_role("user", "media.factory.construct", True)
    return granted


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=0, help="0: a free one")
    p.add_argument("--control-port", type=int, default=0, help="0: a free one")
    p.add_argument("--paths", default="r1", help="mount points, comma separated")
    p.add_argument("--codec", choices=sorted(CODECS), default="h264")
    p.add_argument("--encoder", choices=["x264", "openh264", "x265", "mjpeg", "jpegenc"], help="default: by the codec")
    p.add_argument("--width", type=int, default=1920)
    p.add_argument("--height", type=int, default=1080)
    p.add_argument("--fps", type=int, default=25)
    p.add_argument("--gop", type=int, default=50, help="frames; must divide loop * fps")
    p.add_argument("--loop", type=int, default=20, help="seconds")
    p.add_argument("--bitrate", default="4M")
    p.add_argument("--profile", default="high", help="baseline, main or high")
    p.add_argument("--bframes", type=int, default=0)
    p.add_argument("--slices", type=int, default=1)
    p.add_argument("--interlaced", action="store_true")
    p.add_argument("--pixels", default="yuv420p", help="pixel format of x264 and x265, such as yuv420p10le")
    p.add_argument("--full-range", action="store_true", help="x264 and x265: samples 0 to 255, and the stream says so")
    p.add_argument("--params", default="", help="more parameters of x264 or x265, such as aud=1:nal-hrd=vbr")
    p.add_argument("--open-gop", action="store_true", help="x264 and x265 with B-frames: few keyframes are IDR")
    p.add_argument("--withhold-idr", action="store_true", help="never send an IDR: what remains are recovery points")
    p.add_argument("--delimiters", action="store_true", help="keep access unit delimiters before keyframes")
    p.add_argument("--parameter-sets", choices=["both", "band", "sdp"], default="both",
                   help="where they are: in SDP and before each IDR, only there, or (H.264) only in SDP")
    p.add_argument("--second", default="", help="another loop for the control command: WIDTHxHEIGHT, or flat")
    p.add_argument("--delay-ms", type=int, default=0, help="camera latency: from the instant shown to the first packet")
    p.add_argument("--auth", choices=["none", "basic", "digest"], default="none")
    p.add_argument("--user", default="cam")
    p.add_argument("--password", default="secret")
    p.add_argument("--tls", help="rtsps: file with certificate and key, PEM")
    p.add_argument("--protocols", default="tcp,udp", help="transports offered: tcp, udp or both")
    p.add_argument("--cache", required=True, help="folder of the encoded loops")
    p.add_argument("--encode-only", action="store_true")
    a = p.parse_args()
    if a.loop * a.fps % a.gop:
        p.error("--gop must divide loop * fps")
    a.encoder = a.encoder or dict(h264="x264", h265="x265", mjpeg="mjpeg")[a.codec]
    return a


def pictures(a):
    """The pictures of the first and, if there is one, of the second loop."""
    yield Picture(a.width, a.height)
    if a.second == "flat":
        yield Picture(a.width, a.height, is_flat=True)
    elif a.second:
        yield Picture(*map(int, a.second.split("x")))


def main():
    a = options()
    Gst.init(None)
    files = [build_loop(a, picture) for picture in pictures(a)]
    if a.encode_only:
        return
    loops = [Loop(file, a) for file in files]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(a.port))
    is_guarded = a.auth != "none" or a.tls is not None
    if is_guarded:
        protect(server, a)
    transports = dict(tcp=GstRtsp.RTSPLowerTrans.TCP, udp=GstRtsp.RTSPLowerTrans.UDP)
    offered = GstRtsp.RTSPLowerTrans(0)
    for name in a.protocols.split(","):
        offered |= transports[name]
    faults = dict(stall=False, gap=0, corrupt=0, shift=0, second=False)
    feeds = [Feed(path, loops, a, faults) for path in a.paths.split(",")]
    for feed in feeds:
        factory = Factory(feed)
        factory.set_protocols(offered)
        factory.set_latency(0)
        if is_guarded:
            factory.set_permissions(permissions())
        server.get_mount_points().add_factory("/" + feed.path, factory)
    if not server.attach(None):
        raise SystemExit(f"cannot listen on port {a.port}")
    listener = socket.create_server(("127.0.0.1", a.control_port))
    loop = GLib.MainLoop()
    GLib.timeout_add_seconds(5, lambda: bool(server.get_session_pool().cleanup()) or True)
    threading.Thread(target=control, args=(listener, server, faults), daemon=True).start()

    def until_closed():
        sys.stdin.buffer.read()
        GLib.idle_add(loop.quit)
    threading.Thread(target=until_closed, daemon=True).start()
    print(json.dumps(dict(port=server.get_bound_port(), control_port=listener.getsockname()[1],
                          late_ms=a.delay_ms + feeds[0].reorder_ns // 10**6,
                          loops=[os.path.abspath(file) for file in files])), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
