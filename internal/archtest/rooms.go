package archtest

// Module is the path that imports of our own begin with.
const Module = "github.com/freshet/freshet"

// House is the table of rooms: who may import whom. A new package needs a line
// here, and an import that is not in its line is either a mistake or a decision
// to be made here, in sight.
//
// Values come from the left, the world begins at the rim, the conductor knows
// both, and a door is what people and machines come in by.
var House = []Room{
	// The words.
	{Dir: ".", Kind: Pure},

	// Pure: values in, values out.
	{Dir: "internal/distribution", Kind: Pure, May: []string{"."}},
	{Dir: "internal/source", Kind: Pure, May: []string{".", "internal/source/*"}},
	{Dir: "internal/source/batch", Kind: Pure, May: []string{"."}},
	{Dir: "internal/source/keylist", Kind: Pure, May: []string{".", "internal/source/batch"}},
	{Dir: "internal/source/s3event", Kind: Pure, May: []string{".", "internal/source/batch"}},
	{Dir: "internal/source/gitdiff", Kind: Pure, May: []string{".", "internal/source/batch"}},
	{Dir: "internal/source/webhook", Kind: Pure, May: []string{"internal/source/gitdiff"}},
	{Dir: "internal/distribution/cloudformation", Kind: Pure},
	{Dir: "internal/route", Kind: Pure, May: []string{".", "internal/distribution"}},
	{Dir: "internal/work", Kind: Pure, May: []string{"."}},
	{Dir: "internal/inventory", Kind: Pure, May: []string{"."}},
	{Dir: "internal/mediatype", Kind: Pure},
	{Dir: "internal/deploy", Kind: Pure, May: []string{".", "internal/mediatype"}},
	{Dir: "internal/deploy/ignore", Kind: Pure},
	{Dir: "internal/carried", Kind: Pure, May: []string{"."}},
	{Dir: "internal/inventory/lines", Kind: Pure},
	{Dir: "internal/plan", Kind: Pure, May: []string{".", "internal/inventory", "internal/plan/cover"}},
	{Dir: "internal/awssetup", Kind: Pure},
	{Dir: "internal/sitemap", Kind: Pure},
	{Dir: "internal/variant", Kind: Pure, May: []string{"internal/distribution"}},
	{Dir: "internal/plan/cover", Kind: Pure, May: []string{".", "internal/inventory"}},

	// The rim: talks to the world, decides nothing.
	{Dir: "internal/distribution/load", May: []string{".", "internal/distribution", "internal/distribution/*"}},
	{Dir: "internal/inventory/listing", May: []string{".", "internal/inventory", "internal/inventory/lines"}},
	{Dir: "internal/inventory/accesslog", May: []string{".", "internal/inventory", "internal/inventory/lines"}},
	{Dir: "internal/function", May: []string{"."}},
	{Dir: "internal/whither", Kind: Pure},
	{Dir: "internal/probe", May: []string{"internal/variant", "internal/whither"}},
	{Dir: "internal/source/codecommit", May: []string{"internal/source/gitdiff"}},
	{Dir: "internal/source/codecommit/codecommittest"},
	{Dir: "internal/survey", May: []string{".", "internal/distribution", "internal/distribution/load"}},
	{Dir: "internal/cdn", May: []string{"."}},
	{Dir: "internal/cdn/all", May: []string{".", "internal/cdn", "internal/cdn/*"}},
	{Dir: "internal/cdn/cdntest", May: []string{".", "internal/cdn"}},
	{Dir: "internal/cdn/cdntest/edgetest", May: []string{".", "internal/cdn/cdntest", "internal/distribution", "internal/edge/api"}},
	{Dir: "internal/cdn/cloudfront", May: []string{".", "internal/cdn"}},
	{Dir: "internal/cdn/local", May: []string{".", "internal/cdn", "internal/distribution", "internal/edge/api"}},
	{Dir: "internal/cdn/memcdn", May: []string{".", "internal/cdn"}},
	{Dir: "internal/barrier", May: []string{"internal/whither"}},
	{Dir: "internal/release", May: []string{".", "internal/apply", "internal/barrier", "internal/cdn", "internal/warm"}},
	{Dir: "internal/release/lambdatest"},
	{Dir: "internal/stream", May: []string{"."}},
	{Dir: "internal/wal"},
	{Dir: "internal/queue", May: []string{".", "internal/stream"}},
	{Dir: "internal/journal", May: []string{"."}},
	{Dir: "internal/sigv4", May: []string{"."}},
	{Dir: "internal/git", May: []string{"internal/source/gitdiff"}},
	{Dir: "internal/upstream", May: []string{".", "internal/git", "internal/source/gitdiff", "internal/source/webhook"}},
	{Dir: "internal/awssetup/account", May: []string{"internal/awssetup"}},
	{Dir: "internal/bucket", May: []string{"."}},
	{Dir: "internal/mirror", May: []string{".", "internal/mediatype"}},
	{Dir: "internal/deploy/tree", May: []string{"internal/deploy", "internal/deploy/ignore", "internal/mediatype"}},
	{Dir: "internal/deploy/shelf"},
	{Dir: "internal/deploy/s3store", May: []string{"internal/deploy", "internal/deploy/shelf", "internal/deploy/tree"}},
	{Dir: "internal/edge", May: []string{".", "internal/distribution", "internal/edge/accesslog", "internal/edge/arena", "internal/edge/certificate", "internal/edge/compress", "internal/edge/disk", "internal/edge/h2", "internal/edge/loop", "internal/edge/narrow", "internal/edge/offheap", "internal/edge/packed", "internal/edge/s3origin", "internal/edge/signed", "internal/edge/wire", "internal/function"}},
	{Dir: "internal/edge/accesslog"},
	{Dir: "internal/edge/disk"},
	{Dir: "internal/edge/loop"},
	{Dir: "internal/edge/wire"},
	{Dir: "internal/edge/h2", May: []string{"internal/edge/loop", "internal/edge/narrow"}},
	{Dir: "internal/edge/narrow", Kind: Pure},
	{Dir: "internal/edge/offheap"},
	{Dir: "internal/edge/packed", Kind: Pure},
	{Dir: "internal/edge/arena", May: []string{"internal/edge/packed"}},
	{Dir: "internal/edge/certificate"},
	{Dir: "internal/edge/compress"},
	{Dir: "internal/edge/signed", Kind: Pure, May: []string{"internal/distribution"}},
	{Dir: "internal/edge/s3origin", May: []string{"."}},
	{Dir: "internal/metrics", May: []string{".", "internal/edge", "internal/edge/api", "internal/journal", "internal/quota"}},
	{Dir: "internal/edge/api", May: []string{".", "internal/distribution", "internal/sigv4"}},

	// The conductor.
	{Dir: "internal/apply", May: []string{".", "internal/cdn"}},
	{Dir: "internal/quota", May: []string{".", "internal/cdn"}},
	{Dir: "internal/quota/dynamo", May: []string{"internal/cdn", "internal/quota"}},
	{Dir: "internal/verify", May: []string{".", "internal/probe"}},
	{Dir: "internal/warm", May: []string{".", "internal/probe"}},
	{Dir: "internal/work/worker", May: []string{".", "internal/journal", "internal/stream", "internal/work"}},
	{Dir: "internal/alarm", May: []string{".", "internal/journal"}},
	{Dir: "internal/pipeline", May: []string{
		".", "internal/cdn", "internal/queue", "internal/journal", "internal/route", "internal/plan",
		"internal/carried", "internal/distribution", "internal/inventory", "internal/apply", "internal/quota",
	}},
	{Dir: "internal/deploy/conduct", May: []string{".", "internal/deploy", "internal/deploy/*"}},
	{Dir: "internal/doctor", May: []string{
		".", "internal/cdn", "internal/cdn/cloudfront", "internal/distribution", "internal/function", "internal/route", "internal/survey",
	}},

	// The doors.
	{Dir: "internal/config", Kind: Door, May: []string{"*"}, Not: []string{"internal/cdn/*"}, Doors: []string{"internal/app", "internal/cli"}},
	{Dir: "internal/server", Kind: Door, May: []string{"*"}, Doors: []string{"internal/app", "internal/cli"}},
	{Dir: "internal/lambda", Kind: Door, May: []string{
		".", "internal/source/*", "internal/distribution", "internal/route", "internal/plan", "internal/survey",
		"internal/cdn", "internal/cdn/cloudfront", "internal/quota", "internal/quota/dynamo", "internal/apply", "internal/barrier",
	}, Doors: []string{"cmd/freshet-lambda", "internal/cli"}}, // the latter reads the function's configuration
	{Dir: "internal/app", Kind: Door, May: []string{"*"}, Doors: []string{"internal/cli"}},
	{Dir: "internal/cli", Kind: Door, May: []string{"*"}, Doors: []string{"cmd/freshet"}},
	{Dir: "internal/archtest", Kind: Door},
	{Dir: "cmd/freshet", Kind: Door, May: []string{"internal/cli"}},
	{Dir: "cmd/freshet-lambda", Kind: Door, May: []string{"internal/lambda"}},
	{Dir: "scripts", Kind: Door},
	{Dir: "internal/benchedge", Kind: Door, May: []string{"internal/edge/certificate"}, Doors: []string{"scripts/bench-edge"}},
	{Dir: "scripts/bench-edge", Kind: Door, May: []string{"internal/benchedge"}},
}

// Limits that hold in every room.
const (
	maxFileLines = 600 // of any Go file, tests included
	maxMainLines = 40  // of a file of package main
	maxDepth     = 8   // of the longest chain of imports within the module
)

// emptyNames say nothing about what is in a package.
var emptyNames = map[string]bool{
	"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true,
	"types": true, "data": true, "info": true, "misc": true, "shared": true,
}

// worldly are the standard packages that reach outside, or bring in chance. A
// pure room imports neither them nor what lies below them, except gentle ones.
var (
	worldly = []string{"os", "net", "syscall", "log", "database", "plugin", "runtime", "testing", "embed", "io/fs", "io/ioutil", "path/filepath", "math/rand", "crypto/rand"}
	gentle  = map[string]bool{"net/url": true, "net/netip": true, "net/textproto": true}
)

// worldlyCalls are the functions that do the same in packages that do not. The
// clock is among them: time is given to pure rooms by their callers.
var worldlyCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}
