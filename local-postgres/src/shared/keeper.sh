# Keeps a server running while any process uses it, and for a while longer.
#
#   keeper DIRECTORY SECONDS
#
# DIRECTORY has the named pipe `users`. Each process that uses the server holds the pipe open and
# writes the line `attached` to it. When SECONDS have passed since the last of them closed it, this
# script withdraws the server's description, ../server.json, and ends. Standard output is the pipe of
# the server's watchdog, which stops the server when this script is gone.
trap '' PIPE HUP INT
cd "$1" || exit
exec 3<>users
exec 4<users
while :; do
  exec 3>&-
  # Ends when the last process that uses the server has closed the pipe.
  while read -r event <&4; do :; done
  exec 3<>users
  (
    exec 4<&- >/dev/null
    trap 'kill "$sleeper"; exit' TERM
    sleep "$2" 3<&- &
    sleeper=$!
    wait "$sleeper"
    echo expired >&3
  ) &
  timer=$!
  read -r event <&3
  kill "$timer" 2>/dev/null
  wait "$timer" 2>/dev/null
  [ "$event" = expired ] || continue
  # From here on no process finds the server. One that found it before has written its line by now,
  # and looks at the description again before it relies on the server.
  grep -q "$1" ../server.json 2>/dev/null && mv ../server.json withdrawn.json
  echo end >&3
  is_used=
  while read -r event <&3 && [ "$event" != end ]; do
    [ "$event" = attached ] && is_used=1
  done
  [ -n "$is_used" ] || break
  mv withdrawn.json ../server.json
done
cd / && rm -rf "$1"
