# What quickstart, tests/run and .ci/run share: packages, the number of jobs, headlines. To be sourced by bash.

build_packages=(g++ cmake make openmpi-bin libopenmpi-dev libeigen3-dev libboost-program-options-dev
    nlohmann-json3-dev zlib1g-dev libhdf5-dev libgtest-dev python3)
# For CI. clang: one version everywhere, others format differently. ccache: time. The rest: tests that are skipped
# without them.
check_packages=(clang-format-14 clang-tidy-14 ccache gfortran valgrind python3-torch python3-h5py)

headline() {
    printf '\n== %s\n' "$*"
}

is_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# install_packages NAME...: installs those that are missing, and calls apt-get only if one is.
install_packages() {
    local missing=() name
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "No apt-get here: going on with what is installed. On Debian the packages would be: $*"
        return 0
    fi
    for name in "$@"; do
        is_installed "$name" || missing+=("$name")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing packages: ${missing[*]}" >&2
            echo "There is no sudo here; as root, run: apt-get install ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing missing packages with${as_root[*]:+ ${as_root[*]}} apt-get: ${missing[*]}"
    local attempt
    for attempt in 1 2; do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null; then
            return 0
        fi
        if [[ $attempt -eq 1 ]]; then
            echo "apt-get has failed; trying once more in 5 seconds"
            sleep 5
        fi
    done
    echo "The packages could not be installed: ${missing[*]}" >&2
    return 1
}

# Compilers at a time: one for each core, as far as each can have 2 GB of memory.
job_count() {
    local cores gigabytes limit
    cores=$(nproc)
    gigabytes=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)  # a container may have less than its machine
    if [[ $limit =~ ^[0-9]+$ && $((limit >> 30)) -lt $gigabytes ]]; then
        gigabytes=$((limit >> 30))
    fi
    local jobs=$((gigabytes / 2 < cores ? gigabytes / 2 : cores))
    echo $((jobs > 0 ? jobs : 1))
}

# The first of runs/NAME, runs/NAME-2, runs/NAME-3 … that does not exist.
fresh_run_folder() {
    local folder=runs/$1 number=2
    while [[ -e $folder ]]; do
        folder=runs/$1-$number
        number=$((number + 1))
    done
    echo "$folder"
}
