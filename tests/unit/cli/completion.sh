#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completion offers what the verbs take. Loads the script as bash does, and asks it.
set -u
[ -x "$KILTER_BUILD_DIR/bin/kilter" ] || exit 77
export KILTER_SOCKET=/nonexistent/kilter.sock
# shellcheck disable=SC1091
. "$KILTER_BUILD_DIR/core/cli/completion.bash"
compopt() { :; }
failures=0

# complete WORD...: prints what is offered for the last word.
complete_words()
{
    COMP_WORDS=("$KILTER_BUILD_DIR/bin/kilter" "$@")
    COMP_CWORD=$#
    _kilter
    echo "${COMPREPLY[*]}"
}

expect()
{
    local want=$1
    shift
    local got
    got=$(complete_words "$@")
    if [ "$got" != "$want" ]; then
        echo "kilter $*: offers '$got', not '$want'"
        failures=$((failures + 1))
    fi
}

expect "status state" sta
expect "list describe release" plugin ""
expect "--out=" plan edge --out=
expect "--prune" sync --pr
expect "json" plan --output js
expect "json" plan -o = js
expect "ready synced healthy idle" wait --until ""
expect "" plugin list --prune
expect "--follow" --socket /x events --fo
expect "rm" state r

# Every verb and option of --help is offered, and nothing else.
for verb in $("$KILTER_BUILD_DIR/bin/kilter" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    case " $(complete_words "$verb") " in
    *" $verb "*) ;;
    *) echo "$verb is not offered"; failures=$((failures + 1)) ;;
    esac
    case $verb in state | plugin) continue ;; esac
    offered=$(complete_words "$verb" -- | tr ' ' '\n' | sed 's/=$//' | sort)
    taken=$("$KILTER_BUILD_DIR/bin/kilter" "$verb" --help | grep -o '^ .*--[a-z-]*' | grep -o -- '--[a-z-]*' |
        grep -v -x -e --usage | sort)
    if [ "$offered" != "$taken" ]; then
        echo "kilter $verb: offers" $offered "and takes" $taken
        failures=$((failures + 1))
    fi
done
[ "$failures" -eq 0 ]
