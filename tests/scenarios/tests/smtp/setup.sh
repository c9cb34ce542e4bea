#!/usr/bin/env bash
# Installs a real SMTP server for the test of bulk mail: Debian's exim4, which is never started as a service.
set -euo pipefail
[ -x /usr/sbin/exim4 ] && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Without this the package would start it.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
chmod +x /usr/sbin/policy-rc.d
apt-get install -q -y --no-install-recommends exim4-daemon-light
