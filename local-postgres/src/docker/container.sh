# Owns a Docker container for a process that may be killed at any moment, and removes it.
#
#   watchdog DIRECTORY NAME GRACE VOLUME CREATE-ARGUMENTS...
#
# Creates DIRECTORY and the container NAME, then prints a line. When standard input ends, it
# removes the container (if GRACE is not 0, after a shutdown of at most GRACE seconds), DIRECTORY,
# and VOLUME (unless the name is empty, or the line "keep" came before).
directory=$1 name=$2 grace=$3 volume=$4
shift 4
# A print that no process reads must not end this script early.
trap '' PIPE
mkdir -m 700 "$directory" || exit
if docker create --name "$name" "$@" >&2; then
  echo created
  read -r line
  if [ "$line" = keep ]; then
    volume=
    read -r line
  fi
  if [ "$grace" -gt 0 ]; then
    # On SIGINT, Postgres disconnects its clients and shuts down.
    docker kill --signal INT "$name" >&2
    docker stop --time "$grace" "$name" >&2
  fi
  docker rm --force --volumes "$name" >&2
  status=$?
else
  status=$?
  docker rm --force --volumes "$name" >/dev/null 2>&1
fi
[ -n "$volume" ] && docker volume rm --force "$volume" >/dev/null 2>&1
rm -rf "$directory"
exit "$status"
