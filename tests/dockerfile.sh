#!/usr/bin/env bash
# Goes through the Dockerfile's commands one by one, in order, on a machine without containers.
#
# Each stage's file system is a folder. Build commands run for real; of packages it is only looked up that they exist.
# At the end the program is started as the image starts it, asked by the image's health check, and stopped.
# The build folder is shared with the checkout's, so only what the image's profile lacks is compiled.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
unset CARGO_TARGET_DIR
work=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
chmod 755 "$work"
mkdir -p "$target"

declare -A stages=()
root= workdir=/ user= health= entrypoint= command=
environment=()

say() { printf '== %s\n' "$*"; }
fail() { printf 'dockerfile.sh: %s\n' "$*" >&2; exit 1; }
# ["a", "b"] becomes: a b
words() { tr -d '[]",' <<<"$1"; }

begin_stage() { # image [AS name]
  local name=last
  if [ "${2:-}" = AS ]; then name=$3; fi
  root=$work/$name workdir=/ environment=()
  stages[$name]=$root
  mkdir -p "$root"
}

enter() { # folder
  workdir=$1
  mkdir -p "$root$workdir"
  if [ "${stages[build]:-}" = "$root" ]; then ln -sfn "$target" "$root$workdir/target"; fi
}

copy() { # [--from=stage] source… destination
  local base=$repository
  if [[ $1 == --from=* ]]; then base=${stages[${1#--from=}]}; shift; fi
  local to=${*: -1}
  if [[ $to != /* ]]; then to=$workdir/$to; fi
  to=$root$to
  mkdir -p "$(dirname "$to")"
  for source in "${@:1:$#-1}"; do
    if [ ! -e "$base/$source" ]; then fail "COPY $source: there is no such file in $base"; fi
    # A folder's content goes into the destination, as in an image.
    if [ -d "$base/$source" ]; then
      mkdir -p "$to"
      cp -r "$base/$source/." "$to/"
    else
      cp "$base/$source" "$to"
    fi
  done
}

run() { # command line
  if [[ $1 == apt-get* ]]; then
    look_up_packages "$1"
  elif [ "${stages[build]:-}" = "$root" ]; then
    (cd "$root$workdir" && sh -ec "$1")
  elif [ "$(id -u)" = 0 ]; then
    # Absolute paths mean the stage's own file system.
    sh -ec "$(sed -E "s#(^| )/#\1$root/#g" <<<"$1")"
  else
    say "passed over, it needs root: $1"
    mkdir -p "$root/data"
  fi
}

look_up_packages() { # apt-get command line
  local packages
  packages=$(sed -E 's/.*apt-get install( -[^ ]+)*//; s/&&.*//' <<<"$1")
  for package in $packages; do
    [[ $package == -* ]] && continue
    if ! command -v apt-cache >/dev/null; then say "no apt here to look up $package"; continue; fi
    apt-cache show "$package" >/dev/null 2>&1 || fail "RUN apt-get: there is no package $package"
  done
}

start_and_stop() {
  local port=$((20000 + RANDOM % 20000)) as=()
  local settings=()
  for setting in "${environment[@]}"; do settings+=("$(sed -E "s#=/#=$root/#" <<<"$setting")"); done
  settings+=("MIDWATCH_LISTEN=127.0.0.1:$port" "PATH=$root/usr/local/bin:/usr/bin:/bin")
  if [ "$(id -u)" = 0 ]; then as=(setpriv "--reuid=${user%%:*}" "--regid=${user##*:}" --clear-groups); fi
  # shellcheck disable=SC2046,SC2086 # words, as the image has them
  (cd "$root$workdir" && exec "${as[@]}" env -i "${settings[@]}" $(words "$entrypoint") $(words "$command")) &
  server=$!
  local ready=no
  for _ in $(seq 40); do
    # shellcheck disable=SC2046
    if (cd "$root$workdir" && env -i "${settings[@]}" $(words "$health")) 2>/dev/null; then ready=yes; break; fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.5
  done
  [ $ready = yes ] || fail "the health check never passed"
  say "healthy as user $user; asked to stop"
  kill -TERM "$server"
  local code=0
  wait "$server" || code=$?
  server=
  [ "$code" = 0 ] || fail "the program ended with exit code $code after SIGTERM"
}

while IFS= read -r line; do
  if [[ -z $line || $line == \#* ]]; then continue; fi
  say "$line"
  rest=${line#* }
  # shellcheck disable=SC2086 # words are wanted
  case ${line%% *} in
    FROM) begin_stage $rest ;;
    WORKDIR) enter "$rest" ;;
    COPY) copy $rest ;;
    RUN) run "$rest" ;;
    ENV) environment+=("$rest") ;;
    USER) user=$rest ;;
    HEALTHCHECK) health=${rest#*CMD } ;;
    ENTRYPOINT) entrypoint=$rest ;;
    CMD) command=$rest ;;
    VOLUME | EXPOSE) ;;
    *) fail "what is ${line%% *}? teach this script" ;;
  esac
done <"$repository/Dockerfile"

start_and_stop
size=$(stat -c %s "$work/last/usr/local/bin/midwatch")
say "done; the program has $((size / 1024 / 1024)) MB"
