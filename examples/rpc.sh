#!/bin/sh
# Posts a message and prints the daemon's answer: JSON-RPC from a shell, where `matterwire` is not at hand (docs/rpc.md).
# Needs socat, or a netcat that knows Unix sockets (OpenBSD's: `nc -U`).
#
# usage: rpc.sh CHANNEL TEXT [SOCKET]      the daemon's socket; $XDG_RUNTIME_DIR/matterwire.sock unless given
set -eu
channel=$1 text=$2 socket=${3:-$XDG_RUNTIME_DIR/matterwire.sock}

# Text for JSON: backslashes, quotes, tabs and line ends are escaped.
quote() {
    printf '%s\n' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g; s/	/\\t/g' | awk '{ printf "%s%s", sep, $0; sep = "\\n" }'
}

# METHOD PARAMS: one call, one answer. The daemon ends the connection behind the answer.
call() {
    request=$(printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' "$1" "$2")
    if command -v socat >/dev/null; then
        printf '%s\n' "$request" | socat -t 30 - "UNIX-CONNECT:$socket"
    else
        printf '%s\n' "$request" | nc -N -U "$socket"
    fi
}

answer=$(call send "{\"channel\":\"$(quote "$channel")\",\"text\":\"$(quote "$text")\"}")
printf '%s\n' "$answer"
case $answer in *'"error"'*) exit 1 ;; esac
