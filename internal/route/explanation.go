package route

// Explanation is the way from an object to its URLs, or from a URL to the
// objects behind it.
type Explanation struct {
	Origin        string   `json:"origin,omitempty"` // of a key
	Key           string   `json:"key,omitempty"`    //
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
	Notes        []string     `json:"notes,omitempty"` // disabled, staging
	Origins      []OriginStop `json:"origins,omitempty"`
	URLs         []URLStop    `json:"urls,omitempty"`
}

// OriginStop says whether one origin can get at the key.
type OriginStop struct {
	ID         string `json:"id"`
	DomainName string `json:"domain_name"`
	OriginPath string `json:"origin_path,omitempty"`
	Feeds      bool   `json:"feeds"`  // viewers reach the key through this origin, if a behavior leads to it
	Reason     string `json:"reason"` // what the origin asks the bucket for, or why it does not
}

// URLStop is one URL at one distribution.
type URLStop struct {
	URL      string      `json:"url"`              // canonical; ends in * where it stands for many
	Reason   string      `json:"reason,omitempty"` // what the key has to do with it
	Tried    []Tried     `json:"tried,omitempty"`  // behaviors in order, up to the one that matches
	Behavior string      `json:"behavior"`         // path pattern of that one; several for a URL that stands for many
	Target   string      `json:"target"`           // origin or origin group it leads to
	Caches   bool        `json:"caches"`           // something may be kept
	Why      string      `json:"why,omitempty"`    // why nothing is kept, or why the change does not matter here
	CacheKey []string    `json:"cache_key,omitempty"`
	TTL      *TTL        `json:"ttl,omitempty"`
	Keys     []Candidate `json:"keys,omitempty"`     // objects that may answer, of a URL
	Patterns []Removal   `json:"patterns,omitempty"` // what is invalidated
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
	Rules   []string `json:"rules"`  // what follows for Cache-Control
}

// Candidate is an object that may answer a URL.
type Candidate struct {
	Origin string `json:"origin"` // bucket
	Key    string `json:"key"`    // with placeholders where the URL does not say
	Reason string `json:"reason"`
}

// Removal is a pattern that removes a URL from the cache.
type Removal struct {
	Pattern string `json:"pattern"`
	Reason  string `json:"reason"`
}
