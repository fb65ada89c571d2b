#!/bin/sh
# Unpacks a Debian package, and those of its dependencies that this machine lacks, into
# DIRECTORY/root. Installs nothing and needs no root.
#
#   apt.sh DIRECTORY PACKAGE
set -eu
umask 022
cd "$1"
mkdir -p apt/lists/partial apt/cache/archives/partial root
apt() {
    apt-get -qq -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}
apt update
apt install --yes --download-only --reinstall --no-install-recommends "$2"
for package in apt/cache/archives/*.deb; do
    dpkg-deb --extract "$package" root
done
rm -r apt
