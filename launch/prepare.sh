# What quickstart, tests/run and .ci/run share: packages, MPI, the number of jobs, headlines. To be sourced by bash.

build_packages=(g++ cmake make ninja-build libeigen3-dev libboost-program-options-dev
    nlohmann-json3-dev zlib1g-dev libhdf5-dev libgtest-dev python3)
# For CI. clang: one version everywhere, others format differently. ccache: time. The rest: tests that are skipped
# without them.
check_packages=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev ccache gfortran valgrind python3-numpy python3-torch
    python3-mpi4py python3-h5py)

headline() {
    printf '\n== %s\n' "$*"
}

is_installed() {
    # One word for each architecture that the package is known of.
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
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

# Whether programs can be built with an MPI that is here already: MPI_CXX_COMPILER's if that is set, else any, be it of
# Debian or of a module.
has_mpi() {
    local compilers=(mpicxx mpic++ mpiCC mpicc "${CXX:-c++}") compiler
    [[ -z ${MPI_CXX_COMPILER:-} ]] || compilers=("$MPI_CXX_COMPILER")
    for compiler in "${compilers[@]}"; do
        if command -v "$compiler" >/dev/null &&
            echo '#include <mpi.h>' | "$compiler" -x c++ -E - >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

# prepare_mpi [mpich|openmpi]: the MPI of that name as Debian has it, or the one that is here; Open MPI is installed if
# there is none. Sets mpi_options for CMake. To be called after the compiler has been installed.
prepare_mpi() {
    local name=${1:-}
    [[ -z $name ]] || export MPI_CXX_COMPILER=mpicxx.$name
    if ! has_mpi; then
        if [[ $name == openmpi && -n $(command -v mpirun) ]]; then
            # Debian would prefer it to the MPI that mpirun and mpicxx stand for now, behind everybody's back.
            echo "Open MPI is not here. To have it beside the other MPI: apt-get install openmpi-bin libopenmpi-dev" >&2
            return 1
        fi
        case $name in
            mpich) install_packages mpich libmpich-dev || return 1 ;;
            openmpi | "")
                if [[ -z $name && -n ${MPI_CXX_COMPILER:-} ]]; then
                    echo "MPI_CXX_COMPILER is $MPI_CXX_COMPILER, which is not here or finds no mpi.h" >&2
                    return 1
                fi
                install_packages openmpi-bin libopenmpi-dev || return 1 ;;
            *) echo "Unknown MPI '$name': choose mpich or openmpi, or set MPI_CXX_COMPILER" >&2; return 1 ;;
        esac
        has_mpi || echo "There is no MPI that CMake will find" >&2
    fi
    mpi_options=()
    if [[ -n ${MPI_CXX_COMPILER:-} ]]; then
        mpi_options=(-DMPI_CXX_COMPILER="$(command -v "$MPI_CXX_COMPILER" || echo "$MPI_CXX_COMPILER")")
        # mpicxx.mpich goes with mpifort.mpich.
        name=${MPI_CXX_COMPILER##*/}
        [[ $name != *.* ]] || mpi_options+=(-DMPI_EXECUTABLE_SUFFIX=".${name#*.}")
    fi
}

# configure PRESET FOLDER OPTION...: with the MPI that has been prepared. CMake keeps the first MPI that it has found in a
# folder whatever it is told later, so another one starts it anew. Ninja, if it is here, keeps all cores busy until the
# last target, which saves a tenth of the time; not in folders that exist: CMake keeps what they were begun with.
configure() {
    local preset=$1 folder=$2 kept=
    shift 2
    if command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}  # also for what tests build
    fi
    if [[ ${#mpi_options[@]} -gt 0 && -f $folder/CMakeCache.txt ]]; then
        kept=$(sed -n 's/^MPI_CXX_COMPILER:[A-Z]*=//p' "$folder/CMakeCache.txt")
        if [[ -n $kept && $kept != "${mpi_options[0]#*=}" ]]; then
            echo "$folder was built with $kept: starting anew"
            rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles"
        fi
    fi
    cmake --preset "$preset" -B "$folder" "${mpi_options[@]}" "$@"
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
