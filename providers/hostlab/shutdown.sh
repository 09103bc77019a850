#!/bin/sh
# shutdown, poweroff and halt of a host of the lab: [-h|-P|-H|-c] [now | +MINUTES].
if [ "$(id -u)" -ne 0 ]; then echo "${0##*/}: must be root" >&2; exit 1; fi
when=
for a in "$@"; do
  case "$a" in
    -c) kill "$(cat /run/hostlab/shutdown 2>/dev/null)" 2>/dev/null; rm -f /run/hostlab/shutdown; exit 0 ;;
    -*) ;;
    *) [ -n "$when" ] || when=$a ;;
  esac
done
if [ -z "$when" ]; then
  case "$0" in *shutdown) when=+1 ;; *) when=now ;; esac
fi
case "$when" in
  now | +0) kill -USR1 1 ;;
  +*[!0-9]* | +) echo "${0##*/}: $when is no time (now or +MINUTES)" >&2; exit 1 ;;
  +*)
    setsid sh -c 'sleep $((${1#+} * 60)); kill -USR1 1' sh "$when" </dev/null >/dev/null 2>&1 &
    echo "$!" >/run/hostlab/shutdown
    ;;
  *) echo "${0##*/}: $when is no time (now or +MINUTES)" >&2; exit 1 ;;
esac
