package route

// Explanation is the way from an object to its URLs, or from a URL to the
// objects behind it.
type Explanation struct {
	Origin        string   `json:"origin,omitempty"` // bucket, of a key
	Key           string   `json:"key,omitempty"`
	Host          string   `json:"host,omitempty"`   // of a URL; empty: all distributions were asked
	URL           string   `json:"url,omitempty"`    // canonical
	Given         string   `json:"given,omitempty"`  // the URL as it was given, where that is another spelling
	Group         string   `json:"group,omitempty"`  // consistency group of the key
	Reason        string   `json:"reason,omitempty"` // why nothing is invalidated, where that is so
	Notes         []string `json:"notes,omitempty"`
	Distributions []Stop   `json:"distributions"`
}

// Stop is what one distribution has to do with it.
type Stop struct {
	Distribution string       `json:"distribution"`
	Hosts        []string     `json:"hosts,omitempty"`
	Notes        []string     `json:"notes,omitempty"`   // such as that it is disabled
	Origins      []OriginStop `json:"origins,omitempty"` // of a key: every origin
	URLs         []URLStop    `json:"urls,omitempty"`
}

// OriginStop says whether viewers reach the key through one origin, if a
// behavior leads to it.
type OriginStop struct {
	ID         string `json:"id"`
	DomainName string `json:"domain_name"`
	OriginPath string `json:"origin_path,omitempty"`
	Feeds      bool   `json:"feeds"`
	Reason     string `json:"reason"`
}

// URLStop is one URL, or many, at one distribution.
type URLStop struct {
	URL      string      `json:"url"`                // canonical; ends in * where it stands for many
	Origin   string      `json:"origin,omitempty"`   // ID of the one through which the key got here; empty where any would do
	Reason   string      `json:"reason,omitempty"`   // what the key has to do with it
	Tried    []Tried     `json:"tried,omitempty"`    // behaviors in order, up to the one that answers
	Behavior string      `json:"behavior,omitempty"` // path pattern of that one; empty where there are several
	Target   string      `json:"target,omitempty"`   // origin or origin group that it leads to
	Caches   bool        `json:"caches"`             // it may keep something
	Why      string      `json:"why,omitempty"`      // why nothing is invalidated here, where that is so
	CacheKey []string    `json:"cache_key,omitempty"`
	TTL      *TTL        `json:"ttl,omitempty"`
	Keys     []Candidate `json:"keys,omitempty"`     // of a URL: objects that may answer or are part of the answer
	Patterns []Removal   `json:"patterns,omitempty"` // what removes it from the cache
	Notes    []string    `json:"notes,omitempty"`
}

// Tried is one behavior's path pattern held against a path.
type Tried struct {
	PathPattern string `json:"path_pattern"`
	Matches     bool   `json:"matches"`
	Reason      string `json:"reason"`
}

// TTL is for how long a behavior keeps what the origin answers. Values are
// seconds.
type TTL struct {
	Min     int64    `json:"min"`
	Default int64    `json:"default"`
	Max     int64    `json:"max"`
	Source  string   `json:"source"` // the cache policy, or the behavior's own values
	Rules   []string `json:"rules"`  // what follows for what the origin says
}

// Candidate is an object that may answer a URL.
type Candidate struct {
	Bucket string `json:"bucket,omitempty"` // empty: whichever has the key
	Key    string `json:"key"`              // with placeholders where the URL does not say
	Origin string `json:"origin,omitempty"` // ID of the origin that it is reached through
	Reason string `json:"reason"`

	open bool // it has placeholders
}

// Removal is a pattern that removes a URL from the cache.
type Removal struct {
	URL     string `json:"url,omitempty"` // that the pattern is for
	Pattern string `json:"pattern"`
	Bucket  string `json:"bucket,omitempty"`
	Key     string `json:"key,omitempty"` // whose change it is sent for, of a URL
	Served  bool   `json:"served,omitempty"`
	Reason  string `json:"reason"`
}
