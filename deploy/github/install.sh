#!/bin/sh
# Puts freshet into a folder of the job's own and that into its path. Without a
# version it is built from the sources that came with the action.
set -eu

bin=$RUNNER_TEMP/freshet-bin
mkdir -p "$bin"
if [ -n "${VERSION:-}" ]; then
	GOBIN=$bin go install "github.com/freshet/freshet/cmd/freshet@$VERSION"
else
	(cd "$GITHUB_ACTION_PATH/../.." && CGO_ENABLED=0 go build -trimpath -o "$bin/freshet" ./cmd/freshet)
fi
echo "$bin" >>"$GITHUB_PATH"
