#cloud-boothook
#!/bin/sh
# Runs as root at every boot, before anybody logs in. Running it again changes nothing.
set -u
umask 022
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
export PATH
d={{.Dir}}
mkdir -p "$d/keys"
chmod 755 "$d" "$d/keys"

# put FILE MODE takes what comes in as the file's content, whole or not at all, and tells whether that is news.
put() {
  cat >"$1.new" && chmod "$2" "$1.new" || return 1
  if cmp -s "$1.new" "$1"; then rm -f "$1.new"; return 1; fi
  mv -f "$1.new" "$1"
}
# label TYPE FILE is for machines where SELinux decides what sshd may read and what may be run.
label() {
  if [ -e /sys/fs/selinux/enforce ]; then chcon -t "$1" "$2" 2>/dev/null; fi
}

# A disk that comes from another machine brings that machine's state: this one begins anew.
if [ "$(cat "$d/machine" 2>/dev/null)" != {{.Machine}} ]; then
  rm -rf "$d/lease" {{.LeftFile}} {{.Replaced}}
  echo {{.Machine}} | put "$d/machine" 644
fi

# How the machine ends.
put "$d/end-first" 755 <<'ALOFT_END'
#!/bin/sh
{{.End}}
ALOFT_END
put {{.EndCommand}} 755 <<'ALOFT_END'
#!/bin/sh
# Ends this machine: $1 is terminate (for good) or stop (its disk stays).
kind=terminate
if [ "${1-}" = stop ]; then kind=stop; fi
timeout -k 5 120 /bin/sh {{.Dir}}/end-first "$kind" </dev/null
shutdown -P now || poweroff || poweroff -f
ALOFT_END
label bin_t {{.EndCommand}}
{{- if .Deadline}}

# When the machine ends by itself. A machine that was off for long gets a while in which it can be renewed.
if [ ! -s {{.LeftFile}} ]; then
{{- if .Length}}
  left={{.Length}}
{{- else}}
  left=$(({{.Deadline}} - $(date +%s)))
  if [ "$left" -lt 600 ]; then left=600; fi
{{- end}}
  mkdir -p "$d/lease"
  echo {{.Deadline}} >{{.DeadlineFile}}
  printf '%s\n' "$left" 0 {{.Deadline}} | put {{.LeftFile}} 644
elif [ ! -e /run/aloft-booted ]; then
  { read -r left; read -r graces; read -r seen; } <{{.LeftFile}}
  if [ "$left" -lt 1200 ] && [ "$graces" -lt 5 ]; then
    printf '%s\n' 1200 $((graces + 1)) "$seen" | put {{.LeftFile}} 644
  fi
fi
: >/run/aloft-booted
put "$d/deadman" 755 <<'ALOFT_DEADMAN'
#!/bin/sh
# Counts down the seconds that this machine may run, by a clock that nobody sets, and ends it when none are left. Whoever
# writes {{.DeadlineFile}} renews them: the unix time at which to end and, better, in how many seconds that is.
number() {
  case "$1" in '' | *[!0-9]* | 0?* | ???????????*) return 1 ;; esac
}
uptime() {
  read -r up _ </proc/uptime
  up=${up%%.*}
}
left='' graces='' seen='' ending=0
{ read -r left; read -r graces; IFS= read -r seen; } <{{.LeftFile}}
number "$graces" || graces=0
number "$left" || left=3600
uptime
last=$(cat /run/aloft-up 2>/dev/null) # of a dead-man that was killed in this boot
if ! number "$last" || [ "$last" -gt "$up" ]; then last=$up; fi
while :; do
  uptime
  left=$((left - (up - last)))
  last=$up
  line=$(head -c 64 {{.DeadlineFile}} 2>/dev/null | head -n 1)
  if [ "$line" != "$seen" ]; then
    seen=$line
    end=${line%% *}
    length=${line#* }
    if number "$end"; then
      [ "$length" != "$line" ] && number "$length" || length=$((end - $(date +%s)))
      if [ "$length" -gt 3456000 ]; then length=3456000; fi
      left=$length graces=0
    fi
  fi
  if [ "$left" -lt 0 ]; then left=0; fi
  echo "$up" >/run/aloft-up
  printf '%s\n' "$left" "$graces" "$seen" >{{.LeftFile}}.now && mv -f {{.LeftFile}}.now {{.LeftFile}}
  nap=20
  if [ "$left" -gt 0 ]; then
    ending=0
    if [ "$left" -lt 20 ]; then nap=$left; fi
  else
    if [ "$ending" -eq 0 ]; then ending=$up; fi
    echo "the lease ran out: ending this machine"
    /bin/sh {{.EndCommand}} terminate
    if [ $((up - ending)) -ge 180 ]; then poweroff -f; fi
    if [ $((up - ending)) -ge 300 ]; then echo o >/proc/sysrq-trigger; fi
  fi
  sleep "$nap"
done
ALOFT_DEADMAN
label bin_t "$d/deadman"
put "$d/deadman-keeper" 755 <<'ALOFT_END'
#!/bin/sh
# Keeps the dead-man alive where no systemd does.
echo $$ >/run/aloft-deadman.pid
while :; do
  /bin/sh {{.Dir}}/deadman
  sleep 5
done
ALOFT_END
unit=/run/systemd/system/aloft-deadman.service
if [ -d /run/systemd/system ] && put "$unit" 644 <<'ALOFT_UNIT'
[Unit]
Description=Ends this machine when its lease runs out
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh {{.Dir}}/deadman
Restart=always
RestartSec=5
OOMScoreAdjust=-1000
ALOFT_UNIT
then systemctl daemon-reload; fi
if [ ! -d /run/systemd/system ] || ! systemctl start --no-block aloft-deadman.service; then
  runs=
  if pid=$(cat /run/aloft-deadman.pid 2>/dev/null) && [ -n "$pid" ]; then
    runs=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -F "$d/deadman")
  fi
  if [ -z "$runs" ]; then
    setsid /bin/sh "$d/deadman-keeper" </dev/null >/dev/null 2>&1 &
  fi
fi
{{- end}}

# Who logs in.
if ! id {{.User}} >/dev/null 2>&1; then
  # No password, yet not locked: an sshd without PAM refuses locked accounts.
  useradd -m -s /bin/bash -p '*' {{.User}}
  for g in adm sudo wheel docker video render; do
    if getent group "$g" >/dev/null 2>&1; then usermod -aG "$g" {{.User}}; fi
  done
fi
if [ -d /etc/sudoers.d ]; then
  printf '%s\n' 'Defaults:{{.User}} !requiretty' '{{.User}} ALL=(ALL) NOPASSWD:ALL' | put /etc/sudoers.d/90-aloft 440
fi
echo '{{.Authorized}}' | put "$d/keys/{{.User}}" 644
label ssh_home_t "$d/keys/{{.User}}"
if [ -d "$d/lease" ]; then chown -h {{.User}} "$d/lease" {{.DeadlineFile}}; fi

# Which host key proves that this is the machine. sshd gets it in a file of its own: cloud-init makes the usual ones anew.
news=
if [ ! -e {{.Replaced}} ]; then
  umask 077
  if printf '%s' '{{.HostKey}}' | base64 -d | put {{.HostKeyFile}} 600; then news=1; fi
  umask 022
  label sshd_key_t {{.HostKeyFile}}
fi
config() {
  printf '%s\n' 'HostKey {{.HostKeyFile}}' "AuthorizedKeysFile .ssh/authorized_keys $d/keys/%u" \
    'PasswordAuthentication no' 'AllowStreamLocalForwarding yes' 'AllowTcpForwarding yes' \
    'MaxSessions 64' 'MaxStartups 64:30:128' 'ClientAliveInterval 30'
}
sshd=/etc/ssh/sshd_config
if grep -qi '^[[:space:]]*include.*sshd_config\.d' "$sshd" 2>/dev/null; then
  mkdir -p /etc/ssh/sshd_config.d
  if config | put /etc/ssh/sshd_config.d/00-aloft.conf 644; then news=1; fi
elif ! grep -q '^HostKey {{.HostKeyFile}}' "$sshd" 2>/dev/null; then
  if { config; cat "$sshd" 2>/dev/null; } | put "$sshd.aloft" 644 && mv -f "$sshd.aloft" "$sshd"; then news=1; fi
fi
if [ -n "$news" ]; then
  if [ -d /run/systemd/system ]; then
    systemctl try-restart --no-block ssh.service sshd.service 2>/dev/null
  elif [ -s /run/sshd.pid ]; then
    kill -HUP "$(cat /run/sshd.pid)" 2>/dev/null
  fi
fi
{{- if .Extra}}

put "$d/extra" 755 <<'ALOFT_END'
#!/bin/sh
{{.Extra}}
ALOFT_END
/bin/sh "$d/extra"
{{- end}}
exit 0
