#!/bin/sh
# Prints the Python to build virtual environments with: $PYTHON if set, else the first of the usual names that works.
# Needed: CPython 3.11 to 3.13 (what ansible-core runs on) with the modules venv and ensurepip.
set -eu

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

whole() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

candidates="${PYTHON:-python3.11 python3.12 python3.13 python3}"
found=
for name in $candidates; do
    if usable "$name"; then
        found="${found:-$name}"
        if whole "$name"; then
            exec "$name" -c 'import sys; print(sys.executable)'
        fi
    fi
done

if [ -z "$found" ]; then
    echo "No Python 3.11, 3.12 or 3.13 on PATH (looked for: $candidates). Install one, or name it with PYTHON=…." >&2
    exit 1
fi

# Debian and its kin ship Python without ensurepip; the package python3.X-venv has it.
package="$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "$found has no ensurepip: installing $package with apt-get" >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package"; } >&2
    if whole "$found"; then
        exec "$found" -c 'import sys; print(sys.executable)'
    fi
fi
echo "$found cannot make virtual environments (no ensurepip). On Debian or Ubuntu: apt-get install $package" >&2
exit 1
