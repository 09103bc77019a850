#!/bin/sh
# Captures a real first run, as a terminal of 100 columns shows it, into quickstart.ansi; the test draws the picture:
#
#   make build && docs/img/capture.sh && go test ./cmd/sky -run TestDocsPicture -update
set -eu
cd "$(dirname "$0")/../.."
home=$(mktemp -d)
trap 'ALOFT_HOME=$home bin/sky down -ay >/dev/null; ALOFT_HOME=$home bin/sky api stop >/dev/null; rm -rf "$home"' EXIT
command='sky launch -y -c quickstart examples/quickstart/task.yaml'
ALOFT_HOME=$home bin/sky api start >/dev/null
ALOFT_HOME=$home PATH="$PWD/bin:$PATH" TERM=xterm-256color script -qec "stty cols 100 rows 60; $command" /dev/null >docs/img/run.tmp
{ printf '\033[2m$\033[0m %s\r\n' "$command"; cat docs/img/run.tmp; } >docs/img/quickstart.ansi
rm docs/img/run.tmp
