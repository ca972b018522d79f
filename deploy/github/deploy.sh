#!/bin/sh
# Runs freshet deploy with the action's inputs, which come as variables, so that
# no input is ever read as shell. With a role it gets the job's identity token;
# the AWS SDK takes the role by itself.
set -eu

if [ -n "${ROLE:-}" ]; then
	if [ -z "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ]; then
		echo "::error::no identity token can be had: the job needs permissions: id-token: write"
		exit 1
	fi
	token=$RUNNER_TEMP/freshet-token
	answer=$(printf 'header = "Authorization: Bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
		curl --silent --show-error --fail --retry 3 --config - "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com")
	value=$(printf '%s' "$answer" | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
	if [ -z "$value" ]; then
		echo "::error::the answer to the request for an identity token has none"
		exit 1
	fi
	echo "::add-mask::$value"
	(umask 077 && printf '%s' "$value" >"$token")
	trap 'rm -f "$token"' EXIT
	export AWS_WEB_IDENTITY_TOKEN_FILE="$token" AWS_ROLE_ARN="$ROLE" AWS_ROLE_SESSION_NAME="freshet-${GITHUB_RUN_ID:-0}"
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
fi
if [ -n "${REGION:-}" ]; then
	export AWS_REGION="$REGION"
fi

set -f # what is split into words below has no file names for patterns
words=${ARGUMENTS:-}
if [ -n "${GIT_RANGE:-}" ]; then # the site is what the commit has in that folder
	set -- "$DESTINATION" --json --git "$GIT_RANGE" --path "$DIRECTORY"
else
	set -- "$DIRECTORY" "$DESTINATION" --json
fi
for id in $(printf '%s' "$DISTRIBUTIONS" | tr ',' ' '); do
	set -- "$@" --distribution "$id"
done
if [ "${DRY_RUN:-false}" = true ]; then
	set -- "$@" --dry-run
fi
for word in $words; do
	set -- "$@" "$word"
done

report=$RUNNER_TEMP/freshet-report.json
echo "report=$report" >>"$GITHUB_OUTPUT"
status=0
freshet deploy "$@" >"$report" || status=$?
cat "$report"
exit "$status"
