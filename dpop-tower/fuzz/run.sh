#!/usr/bin/env bash
# run.sh SECONDS [TARGET...]: runs every fuzz target, or the named ones, for this long each.
#
# A run begins with the seeds and with the corpus of earlier runs in corpus/. The table has libFuzzer's
# own figures. The exit status is 0 only if every target ran and found nothing. Findings are in
# artifacts/.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

[[ ${1-} =~ ^[1-9][0-9]*$ ]] || {
  sed -n 's/^# \(run.sh .*\)/usage: \1/p' "$0" >&2
  exit 2
}
seconds=$1
shift
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo +nightly fuzz list)
((${#targets[@]})) || exit 1

cargo +nightly fuzz build || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT

row() { printf '%-14s %12s %7s %9s %7s  %s\n' "$@"; }

printf '\n%s, %s, %d s per target\n' "$(date -u +%F)" "$(rustc +nightly --version)" "$seconds"
row target executions edges features inputs result
status=0
for target in "${targets[@]}"; do
  result=ok
  mkdir -p "corpus/$target"
  # A request that takes ten seconds is a finding as well.
  cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- -dict=jose.dict \
    -max_total_time="$seconds" -timeout=10 -print_final_stats=1 >"$log" 2>&1 || result=FOUND
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  # The final coverage: "#88241 DONE cov: 2603 ft: 5543 corp: 427/81Kb ..."
  figures=$(grep -a ' cov: ' "$log" | tail -n 1 |
    sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 \2 \3/p')
  [[ $result == ok && -n $executions && -n $figures ]] || {
    status=1 result=FOUND
    # Not the whole log, which contains every word that libFuzzer recommends for its dictionary.
    grep -aE -A 8 'panicked|ERROR|SUMMARY|Test unit|Base64|error' "$log" | tail -n 60
  }
  read -r edges features inputs <<<"${figures:-0 0 0}"
  row "$target" "${executions:-0}" "$edges" "$features" "$inputs" "$result"
done
exit "$status"
