package api

import (
	"bytes"
	"testing"
)

// Whatever is accepted as a distribution can be shown, and what is shown is
// accepted and shown alike.
func FuzzReadDistribution(f *testing.F) {
	f.Add([]byte(`<DistributionConfig xmlns="` + namespace + `"><CallerReference>r</CallerReference><Comment/><Enabled>true</Enabled>` +
		`<Aliases><Quantity>1</Quantity><Items><CNAME>a.example.com</CNAME></Items></Aliases><TenantConfig><ParameterDefinitions><member><Name>n</Name></member></ParameterDefinitions></TenantConfig>` +
		`<Origins><Quantity>1</Quantity><Items><Origin><Id>o</Id><DomainName>b.s3.amazonaws.com</DomainName><S3OriginConfig/></Origin></Items></Origins>` +
		`<DefaultCacheBehavior><TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy><MinTTL>1</MinTTL>` +
		`<ForwardedValues><QueryString>true</QueryString><Cookies><Forward>all</Forward></Cookies></ForwardedValues></DefaultCacheBehavior></DistributionConfig>`))
	f.Add([]byte("<!--x--><DistributionConfig><Items><a/><b/></Items></DistributionConfig>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := readDistribution(body)
		if err != nil {
			return
		}
		shown, err := encode(document{name: "DistributionConfig", below: configElements(first)})
		if err != nil {
			t.Fatal(err)
		}
		second, err := readDistribution(shown)
		if err != nil {
			t.Fatalf("%q was accepted, what is shown of it is not: %v\n%s", body, err, shown)
		}
		again, err := encode(document{name: "DistributionConfig", below: configElements(second)})
		if err != nil || !bytes.Equal(shown, again) {
			t.Fatalf("%q is shown as\n%s\nand then as\n%s (%v)", body, shown, again, err)
		}
	})
}
