# Replaces itself with COMMAND, with a limit of at least FILES open files.
#
#   start.sh FILES COMMAND...
files=$1
shift
now=$(ulimit -n)
[ "$now" = unlimited ] || [ "$now" -ge "$files" ] || ulimit -S -n "$files" || exit
exec "$@"
