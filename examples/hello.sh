#!/bin/sh
# A handler: one process an event. The text is in MATTERWIRE_TEXT (all variables: docs/events.md), the whole event as
# JSON on standard input. What it prints is posted as the answer.
case $MATTERWIRE_TEXT in
*help*)
    printf 'I know:\n\n- `time`: what the clock of my machine says\n- `roll`: a die\n- `event`: what I am given, as JSON\n- anything else: I say it back\n'
    ;;
*time*)
    printf 'It is **%s** here.\n' "$(date '+%H:%M:%S')"
    ;;
*roll*)
    printf 'You rolled a **%s**.\n' "$(($(od -An -N2 -tu2 /dev/urandom) % 6 + 1))"
    ;;
*event*)
    printf '```json\n'
    cat
    printf '\n```\n'
    ;;
*)
    printf 'Hello, @%s. You said: %s\n' "$MATTERWIRE_USER_NAME" "$MATTERWIRE_TEXT"
    ;;
esac
