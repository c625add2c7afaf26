#!/bin/sh
# Checks that a shared library exports exactly the functions that the public header declares.
# usage: exported_symbols.sh LIBRARY HEADER
set -eu
library=$1
header=$2

exported=$(nm -D --defined-only "$library" | awk '{ print $NF }' | sort)
declared=$(sed -n 's/^OCT_API .*[ *]\(oct_[a-z0-9_]*\)(.*/\1/p' "$header" | sort)

if [ "$exported" != "$declared" ]; then
  echo "exported by $library:"
  echo "$exported"
  echo "declared by $header:"
  echo "$declared"
  exit 1
fi
echo "$(echo "$exported" | wc -l) symbols"
