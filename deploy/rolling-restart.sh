#!/bin/sh
# Restarts the nodes of Tidings one after the other, so that there is always one that serves: for a new version, or for
# new settings.
#
#   rolling-restart.sh 8001 8002 8003          restarts tidings@8001.service, waits until it is ready, and so on
#
# RESTART is the command that ends a node by SIGTERM, waits for its end and starts it; the name follows at its end.
# READY is the address at which it says that it is ready; {} stands for the name. WAIT_S is how long it may take to be.
# deploy/compose.yaml says both for its containers.
#
# It ends with 1, and restarts no other, when a node is not ready: before, since then the others are needed, or after.
set -u
RESTART=${RESTART:-systemctl restart tidings@}
[ -n "${READY:-}" ] || READY='http://127.0.0.1:{}/readyz'
WAIT_S=${WAIT_S:-60}

is_ready() {
	curl -fsS -o /dev/null --noproxy '*' --max-time 5 "$(echo "$READY" | sed "s|{}|$1|")" 2>/dev/null
}

await_ready() {
	end=$(($(date +%s) + WAIT_S))
	until is_ready "$1"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 1
	done
}

[ $# -gt 0 ] || { echo "usage: rolling-restart.sh NAME..." >&2; exit 2; }
for node in "$@"; do
	for other in "$@"; do
		[ "$other" = "$node" ] || await_ready "$other" || {
			echo "$other is not ready, so $node is left as it is" >&2
			exit 1
		}
	done
	$RESTART"$node" || { echo "$node cannot be restarted" >&2; exit 1; }
	await_ready "$node" || { echo "$node is not ready after $WAIT_S s" >&2; exit 1; }
	echo "$node is ready"
done
