#!/bin/sh
# Builds the pgbouncer of Debian 13 (trixie) from Debian's source, with its security fixes, as
# DIRECTORY/built/pgbouncer. Links with the libevent in DIRECTORY/root. Installs nothing and
# needs no root.
#
#   build.sh DIRECTORY
set -eu
umask 022
cd "$1"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keys" ]; then
    echo "no $keys: install debian-archive-keyring" >&2
    exit 1
fi
# DEBIAN_MIRROR, or the mirror from which this machine takes its own packages.
# shellcheck disable=SC2016
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/$')} || {
    echo "no Debian mirror is configured: set DEBIAN_MIRROR to the URL of one" >&2
    exit 1
}
mkdir -p apt/lists/partial apt/cache/archives/partial built
echo "deb-src [signed-by=$keys] $mirror trixie main" >apt/sources.list
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}
# By default, apt-get treats a list that cannot be fetched as a warning.
apt -o APT::Update::Error-Mode=any update
apt source pgbouncer
root=$PWD/root built=$PWD/built
cd pgbouncer-*/
LIBEVENT_CFLAGS="-I$root/usr/include $(printf ' -I%s' "$root"/usr/include/*-linux-gnu)" \
    LIBEVENT_LIBS="$(echo "$root"/usr/lib/*-linux-gnu/libevent.a)" \
    ./configure --quiet --without-cares
make -s -j2 pgbouncer
cp pgbouncer "$built"
