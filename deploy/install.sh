#!/bin/sh
# Installs camera-capture as a service on Raspberry Pi OS, Debian and other systems with systemd, or removes it.
# Can be run again at any time: it replaces the program and the unit, and never touches settings, pictures or the
# database.
set -eu
umask 022

usage() {
    cat <<'END'
Usage: deploy/install.sh [--prefix DIR] [--destdir DIR] [--no-start] [BINARY]
       deploy/install.sh --uninstall [--prefix DIR] [--destdir DIR]

Installs BINARY (default: target/release/camera-capture beside this directory) as DIR/bin/camera-capture
(default prefix: /usr/local), with its own user, directories, access to the contacts, and a systemd unit.

  --destdir DIR  put the files below DIR and change nothing else: no users, no services, no root needed.
                 The variable DESTDIR does the same.
  --no-start     install, but do not enable or start the service
  --uninstall    remove program and unit; settings, pictures, database and user stay
  --help         this text

Exit status: 0 done, 1 something failed, 2 wrong usage.
END
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
wrong_usage() { printf 'install.sh: %s\n' "$*" >&2; usage >&2; exit 2; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source_dir=$(dirname -- "$here")
destdir=${DESTDIR:-}
prefix=/usr/local
binary=
start=yes
uninstall=no

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -ge 2 ] || wrong_usage "--prefix wants a directory"; prefix=$2; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --destdir) [ $# -ge 2 ] || wrong_usage "--destdir wants a directory"; destdir=$2; shift ;;
        --destdir=*) destdir=${1#*=} ;;
        --no-start) start=no ;;
        --uninstall) uninstall=yes ;;
        --help | -h) usage; exit 0 ;;
        -*) wrong_usage "unknown option $1" ;;
        *) [ -z "$binary" ] || wrong_usage "more than one binary: $binary and $1"; binary=$1 ;;
    esac
    shift
done

# The prefix ends up in the unit, where these would mean something else.
case $prefix in
    *[!A-Za-z0-9/._-]*) wrong_usage "the prefix may contain letters, digits and / . _ - only: $prefix" ;;
    /*) ;;
    *) wrong_usage "the prefix must begin with /: $prefix" ;;
esac
prefix=${prefix%/}
case $destdir in
    '' | /*) ;;
    *) wrong_usage "the destination must begin with /: $destdir" ;;
esac
destdir=${destdir%/}

program=$prefix/bin/camera-capture
password_script=$prefix/bin/setup_password.py
unit=/etc/systemd/system/camera-capture.service
rules=/etc/udev/rules.d/60-camera-capture.rules
sysusers=/etc/sysusers.d/camera-capture.conf
tmpfiles=/etc/tmpfiles.d/camera-capture.conf
drop_in=/etc/systemd/system/camera-capture.service.d/storage.conf
settings_dir=/etc/camera-capture
settings=$settings_dir/camera-capture.env
state_dir=/var/lib/camera-capture
notices=$prefix/share/doc/camera-capture

# Whether this is the machine itself and not a directory to be packed.
live() { [ -z "$destdir" ]; }
has() { command -v "$1" >/dev/null 2>&1; }
systemd_runs() { [ -d /run/systemd/system ]; }

if live; then
    [ "$(id -u)" -eq 0 ] || fail "must be run as root: sudo deploy/install.sh (or with --destdir DIR for a dry run)"
    has systemctl || fail "systemctl not found: this script installs a systemd service"
fi

# put MODE SOURCE TARGET: a file, complete or not at all, also while the old one is running.
put() {
    mkdir -p -- "$destdir$(dirname -- "$3")"
    install -m "$1" -- "$2" "$destdir$3.new"
    mv -f -- "$destdir$3.new" "$destdir$3"
    say "installed $destdir$3"
}

# make_dir MODE PATH
make_dir() {
    [ -d "$destdir$2" ] || mkdir -p -- "$destdir$2"
    chmod "$1" "$destdir$2"
}

do_uninstall() {
    if live && systemd_runs; then
        systemctl disable --now camera-capture.service 2>/dev/null || say "the service was not installed"
    fi
    for file in "$program" "$password_script" "$unit" "$drop_in" "$rules" "$sysusers" "$tmpfiles" "$notices/THIRD-PARTY-LICENSES" \
        "$notices/LICENSE-APACHE" "$notices/LICENSE-MIT" "$notices/README.md"; do
        if [ -e "$destdir$file" ]; then
            rm -f -- "$destdir$file"
            say "removed $destdir$file"
        fi
    done
    rm -rf -- "$destdir$notices/docs"
    if live && systemd_runs; then
        systemctl daemon-reload
        if has udevadm; then udevadm control --reload || true; fi
    fi
    say "kept: settings in $destdir$settings_dir, pictures and database in $destdir$state_dir, the user camera-capture"
}

do_install() {
    [ -n "$binary" ] || binary=$source_dir/target/release/camera-capture
    [ -f "$binary" ] || fail "$binary not found: build it with cargo build --release, or name a binary"
    for file in camera-capture.service env.example deploy/60-camera-capture.rules deploy/sysusers.conf \
        deploy/tmpfiles.conf deploy/setup_password.py THIRD-PARTY-LICENSES LICENSE-APACHE LICENSE-MIT README.md docs/README.md; do
        [ -f "$source_dir/$file" ] || fail "$source_dir/$file not found: run this script from a complete copy"
    done
    if live; then
        "$binary" --version >/dev/null 2>&1 ||
            fail "$binary does not run on this machine ($(uname -m)): build it here or for this architecture"
    fi

    put 755 "$binary" "$program"
    put 755 "$source_dir/deploy/setup_password.py" "$password_script"
    for file in THIRD-PARTY-LICENSES LICENSE-APACHE LICENSE-MIT README.md; do
        put 644 "$source_dir/$file" "$notices/$file"
    done
    # Whole, so that no page of an older version stays.
    rm -rf -- "$destdir$notices/docs"
    (cd -- "$source_dir" && find docs -type f) | LC_ALL=C sort | while IFS= read -r file; do
        put 644 "$source_dir/$file" "$notices/$file"
    done
    put 644 "$source_dir/deploy/60-camera-capture.rules" "$rules"
    put 644 "$source_dir/deploy/sysusers.conf" "$sysusers"
    put 644 "$source_dir/deploy/tmpfiles.conf" "$tmpfiles"

    scratch=$(mktemp)
    trap 'rm -f -- "$scratch"' EXIT
    sed "s|/usr/local/bin/camera-capture|$program|; s|/usr/local/share/doc/camera-capture|$notices|g" "$source_dir/camera-capture.service" >"$scratch"
    put 644 "$scratch" "$unit"

    if live; then
        if has systemd-sysusers; then
            systemd-sysusers "$sysusers"
        else
            getent group gpio >/dev/null || groupadd --system gpio
            getent group i2c >/dev/null || groupadd --system i2c
            getent passwd camera-capture >/dev/null ||
                useradd --system --user-group --groups gpio,i2c --home-dir "$state_dir" --shell /usr/sbin/nologin \
                    camera-capture
        fi
    fi
    make_dir 750 "$settings_dir"
    make_dir 700 "$state_dir"
    if [ -e "$destdir$settings" ]; then
        say "kept $destdir$settings"
    else
        put 640 "$source_dir/env.example" "$settings"
        # An absolute path, so that a command started by hand in another directory uses the same pictures.
        sed -i "s|^#IMAGE_STORAGE_PATH=.*|IMAGE_STORAGE_PATH=$state_dir/images|" "$destdir$settings"
    fi
    open_storage
    if live; then
        chown root:camera-capture "$settings_dir" "$settings"
        chmod 640 "$settings"
        chown camera-capture:camera-capture "$state_dir"
        start_service
    fi
}

# setting NAME: its value in the settings, without quotes; nothing when it is not set.
setting() {
    sed -n "s/^[[:space:]]*\\(export[[:space:]]\\{1,\\}\\)\\{0,1\\}$1[[:space:]]*=[[:space:]]*//p" "$destdir$settings" | tail -n 1 |
        sed -e 's/[[:space:]]*$//' -e 's/^"\([^"]*\)".*$/\1/' -e "s/^'\\([^']*\\)'.*\$/\\1/" -e 's/[[:space:]]#.*$//'
}

# allow DIR: a line of the drop-in that lets the service write there. A missing folder keeps no service from starting.
allow() {
    case $1 in
        /home | /home/* | /root | /root/* | /run/user/*) printf 'ProtectHome=tmpfs\nBindPaths="-%s"\n' "$1" ;;
        *) printf 'ReadWritePaths="-%s"\n' "$1" ;;
    esac
}

# open_place DIR NAME: adds the line for a folder that a setting names, unless the unit lets the service write there already.
open_place() {
    case $1 in
        '' | "$state_dir" | "$state_dir"/*) ;;
        /var/lib | *[\"\\%$]*) say "the service may not write to $1: see $2 in $settings" ;;
        /*) lines=$lines$(allow "$1"; echo x) lines=${lines%x} ;;
    esac
}

# The unit closes every disk but its own folder, so pictures and database elsewhere, and folders of devices, need a drop-in.
open_storage() {
    images=$(setting IMAGE_STORAGE_PATH)
    database=$(setting DATABASE_PATH)
    lines=
    for place in "$images" "${images%/*}" "${database%/*}"; do
        # The database lies beside the pictures unless it is set.
        [ "$place" != "${images%/*}" ] || [ -z "$database" ] || continue
        open_place "$place" IMAGE_STORAGE_PATH
    done
    for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        open_place "$(setting "INGEST_${n}_FOLDER")" "INGEST_${n}_FOLDER"
        open_place "$(setting "INGEST_${n}_CLIPS_FOLDER")" "INGEST_${n}_CLIPS_FOLDER"
    done
    if [ -z "$lines" ]; then
        rm -f -- "$destdir$drop_in"
        return
    fi
    {
        printf '# Written by deploy/install.sh from %s: where the service may write.\n' "$settings"
        printf '# It does not wait for a disk: the program starts without it, says so, and goes on when it is mounted.\n'
        printf '[Service]\n%s' "$lines"
    } >"$scratch"
    put 644 "$scratch" "$drop_in"
}

start_service() {
    if ! systemd_runs; then
        say "systemd is not running here: enable the service later with systemctl enable --now camera-capture"
        return
    fi
    if has udevadm; then
        udevadm control --reload || true
        udevadm trigger --subsystem-match=gpio --subsystem-match='*gpiomem*' || true
    fi
    systemctl daemon-reload
    if ! report=$("$program" --env-file "$settings" --check-config 2>&1); then
        say "$report"
        fail "$settings has the problems above; correct them and run: systemctl enable --now camera-capture"
    fi
    if [ "$start" = no ]; then
        say "not started; start it with: systemctl enable --now camera-capture"
        return
    fi
    systemctl enable camera-capture.service
    systemctl restart camera-capture.service
    say "running; settings are in $settings, messages in: journalctl -u camera-capture"
    say "after a change: systemctl restart camera-capture"
}

if [ "$uninstall" = yes ]; then
    [ -z "$binary" ] || wrong_usage "--uninstall takes no binary"
    do_uninstall
else
    do_install
fi
