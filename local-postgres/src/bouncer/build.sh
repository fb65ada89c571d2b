#!/bin/sh
# Builds the pgbouncer of Debian 13 (trixie) from Debian's source, with its security fixes,
# as DIRECTORY/built/pgbouncer. DIRECTORY/root has a libevent to link with.
# Nothing is installed, and nobody has to be root.
#
#   build.sh DIRECTORY
set -eu
umask 022
cd "$1"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keys" ]; then
    echo "Debian's keys are not in $keys" >&2
    exit 1
fi
# The mirror that is named, or that this machine takes its own packages from.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/$')} || {
    echo "no mirror of Debian is known here: set DEBIAN_MIRROR to the URL of one" >&2
    exit 1
}
mkdir -p apt/lists/partial apt/cache/archives/partial built
echo "deb-src [signed-by=$keys] $mirror trixie main" >apt/sources.list
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}
# A list that cannot be fetched would be no more than a warning.
apt -o APT::Update::Error-Mode=any update
apt source pgbouncer
root=$PWD/root built=$PWD/built
cd pgbouncer-*/
LIBEVENT_CFLAGS="-I$root/usr/include $(printf ' -I%s' "$root"/usr/include/*-linux-gnu)" \
    LIBEVENT_LIBS="$(echo "$root"/usr/lib/*-linux-gnu/libevent.a)" \
    ./configure --quiet --without-cares
make -s -j2 pgbouncer
cp pgbouncer "$built"
