#!/usr/bin/env bash
# Everything that can be said about the code without running it. All checks run;
# the exit code is 1 if one of them found something.
#
# The tools are pinned here and built from their modules, so nothing has to be
# installed. golangci-lint is left out: it would add minutes to a first run for
# checks that go vet and staticcheck make.
set -uo pipefail
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.8.0

failed=()
unchecked=77 # what a check returns when it could not be made here

check() { # NAME COMMAND...
	local name=$1 status=0
	shift
	"$@" || status=$?
	case $status in
	0) echo "lint: $name: fine" ;;
	"$unchecked") echo "lint: $name: not checked" ;;
	*)
		echo "lint: $name: FAILED"
		failed+=("$name")
		;;
	esac
}

formatted() {
	local files
	files=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r ls 2>/dev/null | xargs -r gofmt -l)
	[ -z "$files" ] && return
	printf 'not formatted, run gofmt -w on:\n%s\n' "$files"
	return 1
}

vulnerabilities() {
	local out status=0
	out=$(timeout 600 go run "$govulncheck" ./... 2>&1 </dev/null) || status=$?
	# Without its database it cannot say anything; that is no finding.
	if [ "$status" -ne 0 ] && ! grep -q '^Vulnerability #' <<<"$out"; then
		echo "govulncheck could not run: $(grep -v '^exit status' <<<"$out" | tail -n 1)"
		return "$unchecked"
	fi
	# Findings that the code does call are the only ones with a status of 3.
	[ "$status" -eq 0 ] || printf '%s\n' "$out"
	return "$status"
}

alerts() {
	local promtool out
	promtool=$(command -v promtool || echo "${XDG_CACHE_HOME:-$HOME/.cache}/weir/promtool/promtool") # make setup puts it there
	if [ ! -x "$promtool" ]; then
		echo 'promtool is not installed, and make setup could not fetch it: the alert rules were not checked by it'
		return "$unchecked"
	fi
	out=$({
		"$promtool" check config deploy/prometheus/prometheus.yml &&
			"$promtool" test rules deploy/prometheus/*_test.yml
	} 2>&1) && return
	printf '%s\n' "$out"
	return 1
}

check gofmt formatted
check 'go vet' go vet ./...
check staticcheck go run "$staticcheck" ./...
check floors go test -count=1 ./cmd/weir -run '^(TestFloors|TestHouseRules)$'
check govulncheck vulnerabilities
check alerts alerts

if [ "${#failed[@]}" -gt 0 ]; then
	printf 'lint: failed: %s\n' "${failed[*]}"
	exit 1
fi
