# What a machine does that is a runner of a CI system: fetch the runner's program, hold it to its digest, run it until it
# has done its work, was idle for too long or has lived long enough. @NAME@ are filled in by `sky ci runner launch`.
#
# The secret of the registration comes in $ALOFT_RUNNER_SECRET. It is put into a file that only this user can read, and the
# script starts itself again without it: the environment of a process can be read for as long as it lives.
set -euo pipefail
umask 077
kind=@KIND@ name=@NAME@ keep=@KEEP@ idle=@IDLE@
x64_url=@X64_URL@ x64_sha256=@X64_SHA256@
arm64_url=@ARM64_URL@ arm64_sha256=@ARM64_SHA256@
@ENV@
dir=$HOME/aloft-runner/$name secret=$HOME/aloft-runner/$name.secret
if [ -n "${ALOFT_RUNNER_SECRET-}" ]; then
  mkdir -p "$dir"
  printf %s "$ALOFT_RUNNER_SECRET" >"$secret" # printf is the shell's own: no argument of a process
  exec env -u ALOFT_RUNNER_SECRET bash "$0"
fi

say() { printf 'runner %s: %s\n' "$name" "$*"; }
fail() { say "$*" >&2; exit 1; }
trap 'cd / && rm -rf "$secret" "$dir"' EXIT # not every machine is gone then

# --- what the user wants done first
(
  set +u +o pipefail
  : # there may be nothing
@SETUP@
) || fail "the setup failed"
# --- the program
case $(uname -m) in
x86_64 | amd64) url=$x64_url sha256=$x64_sha256 ;;
aarch64 | arm64) url=$arm64_url sha256=$arm64_sha256 ;;
*) fail "there is no runner for $(uname -m)" ;;
esac
[ -n "$url" ] && [ -n "$sha256" ] || fail "no program with a digest is known for $(uname -m): launch with --runner-version and --runner-sha256"
cd "$dir"
say "fetching $url"
if command -v curl >/dev/null; then
  curl -fsSL --retry 3 -o program -- "$url" || fail "cannot fetch $url"
elif command -v wget >/dev/null; then
  wget -q -O program -- "$url" || fail "cannot fetch $url"
else
  fail "the machine has neither curl nor wget"
fi
printf '%s  program\n' "$sha256" | sha256sum -c --status --strict - ||
  fail "the program from $url is not the one that was asked for: its digest is $(sha256sum <program | cut -c1-64), expected $sha256"

# --- its start, in a process group of its own; the secret goes to it alone
start() {
  case $kind in
  github)
    tar xzf program && rm program
    # Systems without ICU run .NET only so.
    local given lib icu=
    for lib in /usr/lib*/libicuuc.so* /usr/lib/*/libicuuc.so*; do
      [ ! -e "$lib" ] || icu=$lib
    done
    [ -n "$icu" ] || export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
    export RUNNER_ALLOW_RUNASROOT=1
    set -m
    given=$(<"$secret")
    rm -f "$secret"
    if [ "$keep" = 1 ]; then
      ACTIONS_RUNNER_INPUT_TOKEN=$given ./config.sh --unattended --disableupdate --url "$server" --name "$name" --labels "$labels" --work _work </dev/null
      ./run.sh </dev/null &
    else
      ACTIONS_RUNNER_INPUT_JITCONFIG=$given ./run.sh </dev/null &
    fi
    ;;
  gitlab)
    mv program gitlab-runner && chmod 700 gitlab-runner
    mkdir -p builds cache
    {
      printf 'concurrent = 1\ncheck_interval = 3\n[[runners]]\n  name = "%s"\n  url = "%s"\n  token = "' "$name" "$server"
      cat "$secret"
      printf '"\n  executor = "shell"\n  builds_dir = "%s"\n  cache_dir = "%s"\n' "$dir/builds" "$dir/cache"
    } >config.toml
    rm -f "$secret"
    most=1
    [ "$keep" = 1 ] && most=0
    set -m
    ./gitlab-runner run-single --config config.toml --runner "$name" --max-builds "$most" </dev/null &
    ;;
  bitbucket)
    tar xzf program && rm program
    [ -f bin/runner.jar ] || fail "$url holds no bin/runner.jar"
    mkdir -p temp
    command -v java >/dev/null || fail "the runner of Bitbucket needs Java 11 or newer: install it with --setup"
    # As the program's own start.sh does it, with the arguments in a file instead of on the command line.
    {
      printf '%s\n' "-Dbitbucket.pipelines.runner.account.uuid=$account" "-Dbitbucket.pipelines.runner.repository.uuid=$repository" \
        "-Dbitbucket.pipelines.runner.uuid=$runner" "-Dbitbucket.pipelines.runner.oauth.client.id=$client"
      printf %s '"-Dbitbucket.pipelines.runner.oauth.client.secret='
      cat "$secret"
      printf '"\n"-Dbitbucket.pipelines.runner.directory.working=%s"\n' "$dir/temp"
      printf '%s\n' -Dbitbucket.pipelines.runner.environment=PRODUCTION -Dbitbucket.pipelines.runner.runtime=linux-shell \
        -Dbitbucket.pipelines.runner.docker.uri= -Dbitbucket.pipelines.runner.scheduled.state.update.initial.delay.seconds=0 \
        -Dbitbucket.pipelines.runner.scheduled.state.update.period.seconds=30 -Dbitbucket.pipelines.runner.cleanup.previous.folders=false \
        -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8
    } >java.args
    rm -f "$secret"
    set -m
    (cd bin && exec java "@$dir/java.args" -jar ./runner.jar) </dev/null &
    ;;
  esac
  pid=$!
  set +m
}

# busy: the runner has a job. It is seen by the processes that a job is, not by words in a log, which change.
busy() {
  local f line rest
  for f in /proc/[0-9]*/stat; do
    line=
    read -r line 2>/dev/null <"$f" || [ -n "$line" ] || continue
    rest=${line##*) }
    set -- $rest # state, parent, group
    if [ "$kind" = github ]; then
      [ "$3" = "$pid" ] || continue
      tr '\0' ' ' <"${f%stat}cmdline" 2>/dev/null | grep -q 'Runner\.Worker' && return 0
    elif [ "$2" = "$pid" ] && [ "$1" != Z ]; then
      return 0
    fi
  done
  return 1
}

# halt: asked to end, the runner has 20 seconds to tell its server.
halt() {
  kill -INT -- "-$pid" 2>/dev/null || true
  for _ in {1..200}; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$pid" 2>/dev/null || true
}

start
say "started"
trap 'say "ending: it was asked to"; trap - TERM INT; halt; exit 143' TERM INT
quiet=$SECONDS had=0
while kill -0 "$pid" 2>/dev/null; do
  if busy; then
    if [ "$had" = 0 ]; then
      say "has a job"
      rm -f config.toml java.args # they were read at the start, and are nothing for jobs
    fi
    had=$((had + 1)) quiet=$SECONDS
  elif [ "$kind" = bitbucket ] && [ "$keep" = 0 ] && [ "$had" -ge 3 ]; then
    say "its job is over" # this program would take another one
    halt
    exit 0
  elif [ "$idle" -gt 0 ] && [ $((SECONDS - quiet)) -ge "$idle" ]; then
    say "ending: it had no job for $idle seconds"
    halt
    exit 0
  elif [ "$kind" != bitbucket ] || [ "$had" -lt 3 ]; then
    had=0 # what was shorter was no job of Bitbucket's
  fi
  sleep 1
done
code=0
wait "$pid" || code=$?
say "has ended with $code"
exit "$code"
