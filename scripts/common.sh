# Sourced by the other scripts, after which the working directory is the root of the repository.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# build DIR TARGET OPTION...: configures DIR with these Meson options, once, and builds what of
# TARGET has changed. Writes to stderr, so that the output of what runs next stays clean.
build() {
  local dir=$1 target=$2
  shift 2
  [[ -f $dir/build.ninja ]] || meson setup "$dir" "$@" >&2
  ninja -C "$dir" "$target" >&2
}
