# Runs a Postgres server for a process that may be killed at any moment, and cleans up after it.
#
#   watchdog DIRECTORY SIGNAL COMMAND...
#
# Creates DIRECTORY (unless the name is empty) and prints a line. On the next line of standard
# input it runs COMMAND. On the line after that it sends SIGINT to COMMAND, prints a line when
# COMMAND has shut down cleanly, and waits for the next start. When standard input ends, it sends
# SIGNAL to COMMAND. Before it exits, it removes DIRECTORY.
directory=$1 signal=$2
shift 2
status=0
# A print that no process reads must not end this script early.
trap '' PIPE
if [ -n "$directory" ]; then
  mkdir -m 700 "$directory" || exit
fi
echo created
exec 3<&0 </dev/null
while read -r line <&3; do
  "$@" 3<&- >&2 &
  server=$!
  (
    read -r line <&3 && signal=INT
    # A shell starts background processes with SIGINT and SIGQUIT ignored. SIGTERM ends a server
    # that has not installed its own handlers yet.
    kill -s TERM "$server"
    kill -s "$signal" "$server"
  ) 2>/dev/null &
  reader=$!
  wait "$server"
  status=$?
  kill "$reader" 2>/dev/null
  # After this, only the loop reads standard input.
  wait "$reader" 2>/dev/null
  [ "$status" = 0 ] || break
  echo ended 2>/dev/null
done
# Work that the killed process had started may still write to the directory for a moment.
attempts=30
while [ -n "$directory" ] && ! rm -rf "$directory" && [ "$attempts" -gt 0 ]; do
  attempts=$((attempts - 1))
  sleep 1
done
exit "$status"
