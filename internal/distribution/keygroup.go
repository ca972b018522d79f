package distribution

// KeyGroup is a set of public keys, one of which must have signed the URLs and
// cookies of a behavior that trusts the group.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
type KeyGroup struct {
	ID   string      `json:"Id"`
	Keys []PublicKey `json:"Keys"`
}

// PublicKey verifies signatures.
type PublicKey struct {
	ID         string `json:"Id"`         // as in Key-Pair-Id
	EncodedKey string `json:"EncodedKey"` // PEM
}
