#cloud-boothook
#!/bin/sh
# Runs as root at every boot, before anybody logs in. Running it again changes nothing.
set -u
umask 022
d={{.Dir}}
mkdir -p "$d/keys"
chmod 755 "$d" "$d/keys"

# Who logs in.
if ! id {{.User}} >/dev/null 2>&1; then useradd -m -s /bin/bash {{.User}}; fi
if [ -d /etc/sudoers.d ]; then
  printf '%s\n' '{{.User}} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-aloft
  chmod 440 /etc/sudoers.d/90-aloft
fi
printf '%s\n' '{{.Authorized}}' >"$d/keys/{{.User}}"

# Which host key proves that this is the machine. sshd gets it in a file of its own: cloud-init makes the usual ones anew.
if [ ! -e {{.Replaced}} ]; then
  (umask 077; printf '%s' '{{.HostKey}}' | base64 -d >{{.HostKeyFile}}.new)
  mv -f {{.HostKeyFile}}.new {{.HostKeyFile}}
fi
config() {
  printf '%s\n' 'HostKey {{.HostKeyFile}}' "AuthorizedKeysFile .ssh/authorized_keys $d/keys/%u" \
    'PasswordAuthentication no' 'AllowStreamLocalForwarding yes' 'AllowTcpForwarding yes' 'MaxSessions 64' 'ClientAliveInterval 30'
}
if grep -qi '^[[:space:]]*include.*sshd_config\.d' /etc/ssh/sshd_config 2>/dev/null; then
  mkdir -p /etc/ssh/sshd_config.d
  config >/etc/ssh/sshd_config.d/00-aloft.conf
elif ! grep -q '^HostKey {{.HostKeyFile}}' /etc/ssh/sshd_config 2>/dev/null; then
  { config; cat /etc/ssh/sshd_config 2>/dev/null; } >/etc/ssh/sshd_config.new && mv -f /etc/ssh/sshd_config.new /etc/ssh/sshd_config
fi
if [ -d /run/systemd/system ]; then
  systemctl try-restart --no-block ssh.service sshd.service 2>/dev/null || :
elif [ -s /run/sshd.pid ]; then
  kill -HUP "$(cat /run/sshd.pid)" 2>/dev/null || :
fi

# How the machine ends.
cat >{{.EndCommand}} <<'ALOFT_END'
#!/bin/sh
# Ends this machine: $1 is terminate (for good) or stop (its disk stays).
{{.End}}
shutdown -P now || poweroff -f
ALOFT_END
chmod 755 {{.EndCommand}}
{{- if .Deadline}}

# When the machine ends by itself. A machine that was stopped past its deadline gets a while in which it can be renewed.
first=
if [ ! -e {{.DeadlineFile}} ]; then
  first=1
  printf '%s\n' {{.Deadline}} >{{.DeadlineFile}}
fi
chown {{.User}} {{.DeadlineFile}}
cat >"$d/deadman" <<'ALOFT_DEADMAN'
#!/bin/sh
not_before=$1
while :; do
  read -r end <{{.DeadlineFile}} || end=
  case "$end" in ''|*[!0-9]*) end={{.Deadline}} ;; esac
  now=$(date +%s)
  if [ "$now" -ge "$end" ] && [ "$now" -ge "$not_before" ]; then {{.EndCommand}} terminate; fi
  sleep 20
done
ALOFT_DEADMAN
chmod 755 "$d/deadman"
not_before=0
[ -n "$first" ] || not_before=$(($(date +%s) + 1200))
if [ -d /run/systemd/system ]; then
  systemd-run --quiet --unit=aloft-deadman --collect --property=Restart=always "$d/deadman" "$not_before" || :
else
  setsid "$d/deadman" "$not_before" </dev/null >/dev/null 2>&1 &
fi
{{- end}}
{{- if .Extra}}

{{.Extra}}
{{- end}}
exit 0
