#!/bin/sh
# Installs the Debian package of each command that is missing: install.sh COMMAND:PACKAGE…
# A package that brings a service is installed without starting it, now or at the next boot.
set -eu
missing=""
for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
echo "installing:$missing"
$sudo apt-get update -qq

# Debian asks this program before it starts a service; 101 means no. One that is already there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$sudo rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
fi
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
case " $missing " in
*" openssh-server "*)
    if command -v systemctl >/dev/null; then
        $sudo systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true
    fi
    ;;
esac
