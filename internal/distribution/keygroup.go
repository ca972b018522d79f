package distribution

// KeyGroup is a set of public keys, one of which must have signed the URLs and
// cookies of a behavior that trusts the group.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
type KeyGroup struct {
	_ struct{} `known:"LastModifiedTime ETag ResponseMetadata KeyGroupConfig.Comment"`

	ID   string      `json:"Id"`
	Name string      `json:"Name,omitempty" also:"KeyGroupConfig.Name"`
	Keys []PublicKey `json:"Keys"`

	// KeyIDs are what the API says in place of Keys, and nil where Keys are known.
	KeyIDs []string `json:"Items,omitempty" also:"KeyGroupConfig.Items"`
}

// PublicKey verifies signatures.
type PublicKey struct {
	_ struct{} `known:"CreatedTime ETag ResponseMetadata Comment PublicKeyConfig.Comment PublicKeyConfig.CallerReference"`

	ID         string `json:"Id"` // as in Key-Pair-Id
	Name       string `json:"Name,omitempty" also:"PublicKeyConfig.Name"`
	EncodedKey string `json:"EncodedKey" also:"PublicKeyConfig.EncodedKey"` // PEM
}
