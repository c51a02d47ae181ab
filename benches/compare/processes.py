"""Processes under measurement: their processor time, their memory, and how they end."""
import os
import signal
import subprocess
import time
from typing import NamedTuple


class Usage(NamedTuple):
    cpu_s: float
    rss_kib: int


def cpu_of(pid):
    """Processor time of a running process with all its threads, also those that ended, in seconds.

    The process's own clock (clock_getcpuclockid(3)) counts nanoseconds where /proc/PID/stat counts ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def run_to_end(command, limit_s):
    """Run a command to its end, or to SIGKILL; return what it used, or None when it had to be killed."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True)
    deadline = time.monotonic() + limit_s
    killed = False
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return None if killed else Usage(used.ru_utime + used.ru_stime, used.ru_maxrss)
        if time.monotonic() > deadline and not killed:
            os.killpg(child.pid, signal.SIGKILL)
            killed = True
        time.sleep(0.001)


def stop(child, limit_s=30):
    """SIGTERM, then SIGKILL."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
