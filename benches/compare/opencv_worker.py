"""OpenCV's side of the comparison: reads file names on standard input, writes a picture to each, answers a line.

    opencv_worker.py oneshot URL    opens the camera for each picture, reads one frame, releases it
    opencv_worker.py thread URL     a thread reads and decodes for ever; a picture is its newest frame
"""
import sys
import threading

import cv2


class Thread:
    def __init__(self, url):
        self.capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
        self.frame, self.first = None, threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        self.first.wait(60)

    def run(self):
        while True:
            ok, frame = self.capture.read()
            if not ok:
                return
            self.frame = frame
            self.first.set()

    def take(self):
        return self.frame


class OneShot:
    def __init__(self, url):
        self.url = url

    def take(self):
        capture = cv2.VideoCapture(self.url, cv2.CAP_FFMPEG)
        ok, frame = capture.read()
        capture.release()
        return frame if ok else None


def main():
    way = dict(oneshot=OneShot, thread=Thread)[sys.argv[1]](sys.argv[2])
    print("ready", flush=True)
    for line in sys.stdin:
        frame = way.take()
        if frame is not None:
            cv2.imwrite(line.rstrip("\n"), frame)
        print("done", flush=True)


if __name__ == "__main__":
    main()
