# What the scripts share; sourced, not run. shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2; }

# Installs what is missing of these Debian packages, as root or with sudo.
install_missing() {
    local missing=() package as_root=()
    for package in "$@"; do
        if [[ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" != "install ok installed" ]]; then
            missing+=("$package")
        fi
    done
    ((${#missing[@]})) || return 0
    if ((EUID)); then
        if ! command -v sudo >/dev/null; then
            say "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
            exit 1
        fi
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get -q update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends "${missing[@]}"
}

# Packages that building the program needs: OpenH264 and SQLite are compiled from source.
build_packages() {
    printf '%s\n' g++ ca-certificates
    case "$(uname -m)" in
        # without it OpenH264 is built three times slower, and nobody says so
        x86_64 | i?86) echo nasm ;;
    esac
}

find_rust() {
    # rustup puts it there; a shell that was open before does not know yet.
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    if ! command -v cargo >/dev/null; then
        say "no Rust toolchain: cargo not found; see https://rustup.rs, then run this again"
        exit 1
    fi
}

# Where cargo builds, as a full path, because programs are started from other folders; sets `target`. Without
# CARGO_TARGET_DIR cargo is asked, as its own settings may name a folder.
find_target() {
    target="${CARGO_TARGET_DIR:-}"
    if [[ -z "$target" ]] && command -v cargo >/dev/null; then
        target="$(cargo metadata --no-deps --format-version 1 2>/dev/null |
            sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')" || target=
    fi
    target="$(realpath -m -- "${target:-target}")"
    export CARGO_TARGET_DIR="$target"
}

# The program to measure: CAMERA_CAPTURE_BIN, or the release build; sets `binary`, a full path.
find_binary() {
    binary="${CAMERA_CAPTURE_BIN:-}"
    if [[ -z "$binary" ]]; then
        find_rust
        find_target
        say "building; the first time takes a few minutes"
        cargo build --release --locked
        binary="$target/release/camera-capture"
    elif [[ "$binary" != /* && -e "$OLDPWD/$binary" ]]; then
        # It was named where the script was called, which has changed the folder since.
        binary="$OLDPWD/$binary"
    fi
    binary="$(realpath -m -- "$binary")"
    if [[ ! -x "$binary" ]]; then
        say "no program at $binary"
        exit 1
    fi
}

# What judges licences, duplicates and sources of the crates. A debug build is ready in two minutes and fast enough.
install_deny() {
    find_target
    local root="$target/peers"
    [[ -x "$root/bin/cargo-deny" ]] && return 0
    command -v cargo-deny >/dev/null && return 0
    say "installing cargo-deny into $root (a few minutes)"
    cargo install --quiet --locked --debug --root "$root" cargo-deny --version 0.20.2
}

# An S3 store that checks signatures; built once, beside the program.
install_store() {
    find_target
    local root="$target/peers"
    [[ -x "$root/bin/s3s-fs" ]] && return 0
    command -v s3s-fs >/dev/null && return 0
    say "installing s3s-fs into $root (a few minutes)"
    cargo install --quiet --locked --root "$root" s3s-fs --version 0.14.1 --features binary
}

# What the tests in a browser are written with, outside of the tree; which server it comes from is npm's configuration.
install_browser_modules() {
    find_target
    local place="$target/browser"
    mkdir -p "$place"
    if ! cmp -s tests/browser/package-lock.json "$place/installed.json"; then
        cp tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc "$place/"
        npm ci --no-audit --no-fund --prefix "$place" && cp tests/browser/package-lock.json "$place/installed.json"
    fi
}
