#!/bin/sh
# What Google's guest agent does at every boot: runs the startup script that the metadata server has now. Images with
# cloud-init run their user data as well when it is a boothook.
md() {
  u="http://169.254.169.254/computeMetadata/v1/instance/attributes/$1"
  if command -v curl >/dev/null; then curl -sf -H 'Metadata-Flavor: Google' "$u"; else
    python3 -c 'import sys,urllib.request as r; sys.stdout.buffer.write(r.urlopen(r.Request(sys.argv[1],headers={"Metadata-Flavor":"Google"})).read())' "$u" 2>/dev/null
  fi
}
run() {
  chmod 700 "$1"
  echo "gce: running $2"
  case "$(head -c 2 "$1")" in
    '#!') "$1" ;;
    *) bash "$1" ;;
  esac
  echo "gce: $2 ended with $?"
}
d=/var/lib/google
mkdir -p "$d"
if md startup-script >"$d/startup-script"; then run "$d/startup-script" startup-script; fi
case "${GCELAB_IMAGE:-}" in
  ubuntu*|cos*)
    if md user-data >"$d/user-data" && [ "$(head -n 1 "$d/user-data")" = '#cloud-boothook' ]; then
      tail -n +2 "$d/user-data" >"$d/boothook"
      run "$d/boothook" user-data
    fi ;;
esac
exit 0
