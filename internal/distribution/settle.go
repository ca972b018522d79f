package distribution

import (
	"reflect"
	"slices"
)

// settle reads the origin of CloudFormation's oldest form, which stood outside
// Origins and had no ID: it is what the default behavior leads to.
func (c *Config) settle(d *decoder, given map[string]any, path string) {
	for _, name := range []string{"S3Origin", "CustomOrigin"} {
		if given[name] == nil {
			continue
		}
		var legacy legacyOrigin
		d.value(reflect.ValueOf(&legacy).Elem(), given[name], path+"."+name, decoding{})
		c.Origins = append(c.Origins, legacy.origin(name, c))
	}
}

// legacyOrigin is an S3Origin or a CustomOrigin.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-cloudfront-distribution-legacycustomorigin.html
type legacyOrigin struct {
	DNSName              string   `json:"DNSName"`
	OriginAccessIdentity string   `json:"OriginAccessIdentity"`
	HTTPPort             int      `json:"HTTPPort"`
	HTTPSPort            int      `json:"HTTPSPort"`
	OriginProtocolPolicy string   `json:"OriginProtocolPolicy"`
	OriginSSLProtocols   []string `json:"OriginSSLProtocols" also:"OriginSslProtocols"`
}

func (l legacyOrigin) origin(name string, c *Config) Origin {
	o := Origin{ID: l.DNSName, DomainName: l.DNSName}
	if target := c.DefaultCacheBehavior.TargetOriginID; target != "" && !c.leads(target) {
		o.ID = target
	}
	if name == "S3Origin" {
		o.S3OriginConfig = &S3OriginConfig{OriginAccessIdentity: l.OriginAccessIdentity}
		return o
	}
	o.CustomOriginConfig = &CustomOriginConfig{
		HTTPPort: l.HTTPPort, HTTPSPort: l.HTTPSPort,
		OriginProtocolPolicy: l.OriginProtocolPolicy, OriginSSLProtocols: l.OriginSSLProtocols,
	}
	return o
}

// leads reports whether there is an origin or an origin group of that ID.
func (c *Config) leads(target string) bool {
	if _, ok := c.Origin(target); ok {
		return true
	}
	return slices.ContainsFunc(c.OriginGroups, func(g OriginGroup) bool { return g.ID == target })
}

// settle switches the logs on that CloudFormation describes: there, saying
// where they go is enough.
func (l *Logging) settle(_ *decoder, given map[string]any, _ string) {
	if given["Enabled"] == nil && l.Bucket != "" {
		l.Enabled = true
	}
}
