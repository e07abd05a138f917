#!/bin/sh
# The packages that the image runs with. Without dev packages; without the optional ones (embedded PostgreSQL: an image
# has DATABASE_URL); without install scripts (they fetch Node, which the image has, and send telemetry).
set -eu
npm ci --omit=dev --omit=optional --ignore-scripts --prefer-offline
