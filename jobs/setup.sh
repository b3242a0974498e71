# What `jobs/quickstart` and `tests/run` share: Debian packages and the build. Sourced, not run; the caller is in the repository root.

say() { printf '\n== %s\n' "$*"; }

cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # nproc would obey the variable set below

# The MPI settings that work on a laptop, in a container and as root: see tests/helpers.cmake too.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
missing() { for p in "$@"; do dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"; done; }

# install PACKAGE...: installs what is missing, and says so.
install() {
  local want
  want=$(missing "$@")
  [ -z "$want" ] && return 0
  command -v apt-get >/dev/null || { echo "these packages are missing and there is no apt-get: $want" >&2; return 7; }
  say "installing $want"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || true
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $want >/dev/null
}

install_build_packages() {
  local hdf5=libhdf5-dev # either of Debian's builds will do: keep the one that is there
  [ -z "$(missing libhdf5-openmpi-dev)" ] && hdf5=libhdf5-openmpi-dev
  install build-essential cmake pkg-config libopenmpi-dev openmpi-bin "$hdf5" libopenblas-dev libconfig-dev \
    libjansson-dev libxxhash-dev zlib1g-dev liblzma-dev libpcre2-dev libjpeg62-turbo-dev libflac-dev libsentencepiece-dev
}

# build PRESET [TARGET...]: all, or these; by ccache where it is installed.
build() {
  local targets=("${@:2}")
  if command -v ccache >/dev/null; then export CMAKE_C_COMPILER_LAUNCHER=ccache; fi
  say "building ($1)"
  cmake --preset "$1" >"build-$1.log" 2>&1 || { cat "build-$1.log"; return 7; }
  cmake --build --preset "$1" -j "$cores" ${targets[@]+--target "${targets[@]}"} >>"build-$1.log" 2>&1 || { tail -n 60 "build-$1.log"; return 7; }
  rm -f "build-$1.log"
}
