#!/usr/bin/env python3
"""Sets the dashboard's password, for whoever is used to this name.

    setup_password.py [--env-file PATH] [--program PATH]

Asks twice without echo, or reads one line from standard input if that is no terminal, and hands it to
"camera-capture --set-password -". Unlike the script of this name in older systems:

- there is no default password (admin123 is refused, as every password that is easily guessed);
- a password is no argument: every user of the machine could read it in the list of processes;
- nothing is written into .env: the hash is kept in the database. A hash that an older system left in .env is not taken.

The settings are those of the installed service if there are any (/etc/camera-capture/camera-capture.env), else those of
.env in the working directory. Exit status: 0 done, 1 failed, 2 wrong usage, 78 the settings are wrong.
"""

import getpass
import os
import subprocess
import sys

INSTALLED = "/etc/camera-capture/camera-capture.env"
# The installer puts both into one folder.
BESIDE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "camera-capture")
PROGRAMS = [BESIDE, "camera-capture", "/usr/local/bin/camera-capture"]


def wrong_usage(text):
    print(f"setup_password.py: {text}", file=sys.stderr)
    return 2


def ask():
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("New password for the dashboard: ")
    if first != getpass.getpass("Once more: "):
        return None
    return first


def main(arguments):
    options = {"--env-file": INSTALLED if os.path.exists(INSTALLED) else None, "--program": None}
    while arguments:
        name = arguments.pop(0)
        if name in ("-h", "--help"):
            print(__doc__.strip())
            return 0
        if name not in options:
            # It may be a password, so it is not repeated.
            return wrong_usage(
                "a password is not taken as an argument, because every user of this machine could read it in the list "
                "of processes (ps); run this without one and you are asked for it"
            )
        if not arguments:
            return wrong_usage(f"{name} wants a path")
        options[name] = arguments.pop(0)
    password = ask()
    if password is None:
        print("setup_password.py: the two passwords differ; nothing was changed", file=sys.stderr)
        return 1
    settings = ["--env-file", options["--env-file"]] if options["--env-file"] else []
    for program in [options["--program"]] if options["--program"] else PROGRAMS:
        try:
            return subprocess.run(
                [program, *settings, "--set-password", "-"], input=password + "\n", encoding="utf-8", check=False
            ).returncode
        except FileNotFoundError:
            continue
    print("setup_password.py: camera-capture is not installed; name it with --program", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, EOFError):
        sys.exit(1)
