package distribution

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestNormalizeTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := drawn(t)
		once.Normalize()
		twice := once
		twice.Normalize()
		if !reflect.DeepEqual(once, twice) {
			t.Errorf("%+v, then %+v", once, twice)
		}
	})
}

// What is cached does not change by it.
func TestNormalizeKeepsCaching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		n := d
		n.Normalize()
		for i := range len(d.Config.CacheBehaviors) + 1 {
			was, err := d.Caching(d.Config.BehaviorAt(i))
			is, err2 := n.Caching(n.Config.BehaviorAt(i))
			if (err == nil) != (err2 == nil) || was.Caches() != is.Caches() || was.MinTTL != is.MinTTL || was.DefaultTTL != is.DefaultTTL || was.MaxTTL != is.MaxTTL {
				t.Errorf("%+v (%v), then %+v (%v)", was, err, is, err2)
			}
		}
	})
}

func TestNormalizeLeavesSlicesAlone(t *testing.T) {
	d := full()
	d.Config.CacheBehaviors[0].CachePolicyID = ""
	d.Config.OriginGroups[0].StatusCodes = []int{500, 404}
	copied := d
	before := marshalled(t, d)
	copied.Normalize()
	if !reflect.DeepEqual(before, marshalled(t, d)) {
		t.Error("normalizing a copy changed what it was copied from")
	}
	if got := copied.Config.OriginGroups[0].StatusCodes; !reflect.DeepEqual(got, []int{404, 500}) {
		t.Errorf("status codes %v", got)
	}
}

// What the API says of a distribution that was made without saying it.
func TestNormalizeOfDefaults(t *testing.T) {
	said, _, err := Decode(tree(t, `{"DistributionConfig": {
		"Origins": {"Quantity": 2, "Items": [
			{"Id": "s", "DomainName": "s.s3.amazonaws.com", "OriginPath": "", "CustomHeaders": {"Quantity": 0}, "S3OriginConfig": {"OriginAccessIdentity": "", "OriginReadTimeout": 30},
			 "ConnectionAttempts": 3, "ConnectionTimeout": 10, "OriginShield": {"Enabled": false}, "OriginAccessControlId": ""},
			{"Id": "c", "DomainName": "c.example.com", "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only",
			 "OriginSslProtocols": {"Quantity": 2, "Items": ["TLSv1.2", "TLSv1.1"]}, "OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5, "IpAddressType": "ipv4"},
			 "ConnectionAttempts": 3, "ConnectionTimeout": 10}]},
		"OriginGroups": {"Quantity": 0},
		"DefaultCacheBehavior": {"TargetOriginId": "s", "TrustedSigners": {"Enabled": false, "Quantity": 0}, "TrustedKeyGroups": {"Enabled": false, "Quantity": 0},
			"ViewerProtocolPolicy": "allow-all", "AllowedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"], "CachedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]}},
			"SmoothStreaming": false, "Compress": false, "LambdaFunctionAssociations": {"Quantity": 0}, "FunctionAssociations": {"Quantity": 0}, "FieldLevelEncryptionId": "",
			"GrpcConfig": {"Enabled": false}, "MinTTL": 0, "DefaultTTL": 86400, "MaxTTL": 31536000,
			"ForwardedValues": {"QueryString": false, "Cookies": {"Forward": "none"}, "Headers": {"Quantity": 0}, "QueryStringCacheKeys": {"Quantity": 0}}},
		"CacheBehaviors": {"Quantity": 0},
		"CustomErrorResponses": {"Quantity": 1, "Items": [{"ErrorCode": 404, "ResponsePagePath": "", "ResponseCode": "", "ErrorCachingMinTTL": 10}]},
		"Logging": {"Enabled": false, "IncludeCookies": false, "Bucket": "", "Prefix": ""}, "PriceClass": "PriceClass_All", "Enabled": true, "HttpVersion": "HTTP2",
		"ViewerCertificate": {"CloudFrontDefaultCertificate": true, "SSLSupportMethod": "vip", "MinimumProtocolVersion": "TLSv1", "CertificateSource": "cloudfront"},
		"Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}}, "ConnectionMode": "direct", "TenantConfig": {}}}`), "")
	if err != nil {
		t.Fatal(err)
	}
	unsaid, _, err := Decode(tree(t, `{"DistributionConfig": {
		"Origins": [{"Id": "s", "DomainName": "s.s3.amazonaws.com", "S3OriginConfig": {}},
			{"Id": "c", "DomainName": "c.example.com", "CustomOriginConfig": {"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1.1", "TLSv1.2"]}}],
		"DefaultCacheBehavior": {"TargetOriginId": "s", "ViewerProtocolPolicy": "allow-all", "ForwardedValues": {"QueryString": false}},
		"CustomErrorResponses": [{"ErrorCode": 404}], "Enabled": true, "HttpVersion": "http2"}}`), "")
	if err != nil {
		t.Fatal(err)
	}
	said.Normalize()
	unsaid.Normalize()
	if !reflect.DeepEqual(said, unsaid) {
		t.Errorf("said:\n%+v\nunsaid:\n%+v", marshalled(t, said), marshalled(t, unsaid))
	}
}

func TestNormalizeOfCertificates(t *testing.T) {
	want := &ViewerCertificate{ACMCertificateARN: "arn", SSLSupportMethod: "sni-only"}
	for _, v := range []ViewerCertificate{
		*want,
		{ACMCertificateARN: "arn", Certificate: "arn", CertificateSource: "acm", SSLSupportMethod: "sni-only"},
		{Certificate: "arn", CertificateSource: "acm", SSLSupportMethod: "sni-only"},
	} {
		d := Distribution{Config: Config{ViewerCertificate: &v}}
		d.Normalize()
		if !reflect.DeepEqual(d.Config.ViewerCertificate, want) {
			t.Errorf("%+v became %+v", v, d.Config.ViewerCertificate)
		}
	}
}

// A certificate of which only the source is named is none, at once.
func TestNormalizeSourceOfNothing(t *testing.T) {
	for _, source := range []string{"acm", "iam", "cloudfront"} {
		d := full()
		d.Config.ViewerCertificate = &ViewerCertificate{CertificateSource: source}
		if d.Normalize(); d.Config.ViewerCertificate != nil {
			t.Errorf("%s: %+v", source, d.Config.ViewerCertificate)
		}
	}
}
