# Watches over a Docker container for a process that may die at any moment.
# usage: watchdog DIRECTORY NAME GRACE VOLUME CREATE-ARGUMENTS...
# Makes DIRECTORY, creates the container NAME and says so. When standard input
# ends it removes the container, after GRACE seconds (if not 0) to shut down in,
# then DIRECTORY, and VOLUME (if not empty) unless told "keep" before.
directory=$1 name=$2 grace=$3 volume=$4
shift 4
# That nobody is left to listen must not end this script early.
trap '' PIPE
mkdir -m 700 "$directory" || exit
if docker create --name "$name" "$@" >&2; then
  echo created
  read -r word
  if [ "$word" = keep ]; then
    volume=
    read -r word
  fi
  if [ "$grace" -gt 0 ]; then
    # Postgres takes SIGINT for a shutdown that does not wait for clients.
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
