# Sourced by every action on a host: where the lease of the host is. One host has one lease at a time.
umask 077
d="$HOME/.aloft/host"
mkdir -p "$d/gone"
now=$(date +%s)
set -- $SSH_CONNECTION
echo "address ${3-}"
echo "now $now"
# show STATE FILE: the answer, last.
show() { echo "state $1"; [ -z "$2" ] || cat "$2"; }
# release KEY REASON: ends every process of the lease, then the lease.
cat >"$d/.release.$$" <<'ALOFT_RELEASE'
d="$HOME/.aloft/host"
key=$1
grep -qs "\"key\":\"$key\"" "$d/lease" || exit 0
unit=/etc/systemd/system/sky-agent.service
if [ -e "$unit" ] && grep -qs "ALOFT_LEASE=$key" "$unit"; then
  if [ "$(id -u)" = 0 ]; then s=; else s="sudo -n"; fi
  $s systemctl disable --now sky-agent.service >/dev/null 2>&1
  $s rm -f "$unit"
  $s systemctl daemon-reload >/dev/null 2>&1
fi
n=0
while :; do
  pids=
  for f in $(grep -lzxs "ALOFT_LEASE=$key" /proc/[0-9]*/environ); do
    p=${f#/proc/}
    pids="$pids ${p%/environ}"
  done
  [ -n "$pids" ] || break
  if [ $n = 0 ]; then kill -TERM $pids 2>/dev/null; elif [ $n -ge 7 ]; then kill -KILL $pids 2>/dev/null; fi
  n=$((n + 1))
  if [ $n -gt 100 ]; then echo "processes do not end:$pids" >&2; exit 1; fi
  sleep 0.1
done
rm -rf "$HOME/.aloft/agent" "$HOME/.aloft/end"
{ head -n 1 "$d/lease"; printf '%s\n' "$2"; } >"$d/.gone.$$" && mv -f "$d/.gone.$$" "$d/gone/$key" && rm -f "$d/lease"
ALOFT_RELEASE
mv -f "$d/.release.$$" "$d/release"
release() { env -u ALOFT_LEASE /bin/sh "$d/release" "$1" "$2"; }
# A record that a crash of the host emptied is nobody's.
[ ! -e "$d/lease" ] || grep -qs '"key":"' "$d/lease" || rm -f "$d/lease"
# A lease whose time is up ends when somebody looks.
if [ -e "$d/lease" ]; then
  end=$(sed -n 's/.*"end":\([0-9][0-9]*\).*/\1/p' "$d/lease" | head -n 1)
  if [ -n "$end" ] && [ "$now" -ge "$end" ]; then
    release "$(sed -n 's/.*"key":"\([0-9a-f]*\)".*/\1/p' "$d/lease" | head -n 1)" deadline
  fi
fi
