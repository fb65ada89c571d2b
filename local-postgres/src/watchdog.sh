# Watches over a Postgres server for a process that may die at any moment.
# usage: watchdog DIRECTORY SIGNAL COMMAND...
# Makes DIRECTORY (none if empty) and says so. Waits for a line on standard
# input, then runs COMMAND. At the next line it sends it SIGINT, says when it has
# ended in order, and starts again from there. When standard input ends it sends
# it SIGNAL, and removes DIRECTORY in any case.
directory=$1 signal=$2
shift 2
status=0
# That nobody is left to listen must not end this script early.
trap '' PIPE
if [ -n "$directory" ]; then
  mkdir -m 700 "$directory" || exit
fi
echo made
exec 3<&0 </dev/null
while read -r word <&3; do
  "$@" 3<&- >&2 &
  server=$!
  (
    read -r word <&3 && signal=INT
    # A shell's background processes ignore SIGINT and SIGQUIT until they handle
    # them; a server that has not come that far yet is ended by SIGTERM.
    kill -s TERM "$server"
    kill -s "$signal" "$server"
  ) 2>/dev/null &
  reader=$!
  wait "$server"
  status=$?
  kill "$reader" 2>/dev/null
  # From here nobody else reads.
  wait "$reader" 2>/dev/null
  [ "$status" = 0 ] || break
  echo ended 2>/dev/null
done
# What the process was doing when it died may write there for a moment longer.
attempts=30
while [ -n "$directory" ] && ! rm -rf "$directory" && [ "$attempts" -gt 0 ]; do
  attempts=$((attempts - 1))
  sleep 1
done
exit "$status"
