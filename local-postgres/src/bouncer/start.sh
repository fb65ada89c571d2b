# Becomes COMMAND, with as many open files as PgBouncer has connections at most.
#
#   start.sh FILES COMMAND...
files=$1
shift
now=$(ulimit -n)
[ "$now" = unlimited ] || [ "$now" -ge "$files" ] || ulimit -S -n "$files" || exit
exec "$@"
