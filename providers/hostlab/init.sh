#!/bin/sh
# The first process of a host: runs the boot script, then sshd, and lives until the host is shut down.
end() {
  trap '' USR1
  kill -TERM -1 2>/dev/null
  n=0
  while [ "$n" -lt 40 ]; do
    set -- /proc/[0-9]*
    [ "$#" -gt 1 ] || break
    sleep 0.05
    n=$((n + 1))
  done
  exit 0
}
trap end USR1
cat /etc/hostname >/proc/sys/kernel/hostname
mkdir -p /run/sshd /run/lock /run/hostlab
chmod 1777 /run/lock
# The lab says when the network is there; an end of the stream says that the lab is gone.
read -r go || exit 1
exec </dev/null
while IFS='=' read -r k v; do
  [ -z "$k" ] || export "$k=$v"
done </etc/environment
if [ -x /usr/lib/hostlab/boot ]; then
  echo "boot script"
  /usr/lib/hostlab/boot &
  wait "$!"
  echo "boot script: exit $?"
fi
if ! ls /etc/ssh/*_host_*key >/dev/null 2>&1; then
  ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
fi
echo "sshd"
/usr/sbin/sshd -D -e &
while :; do
  wait
  sleep 1
done
