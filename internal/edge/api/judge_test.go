package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// What CloudFront refuses, with its code and status.
func TestRefusedDistributions(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	const body = `<DistributionConfig ` + xmlns + `><CallerReference>r</CallerReference><Comment/><Enabled>true</Enabled>` +
		`<Origins><Quantity>1</Quantity><Items><Origin><Id>o</Id><DomainName>example.com</DomainName></Origin></Items></Origins>` +
		`<DefaultCacheBehavior><TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy><CachePolicyId>658327ea-f89d-4fab-a63d-7e88639e58f6</CachePolicyId></DefaultCacheBehavior></DistributionConfig>`
	const policy = `<CachePolicyId>658327ea-f89d-4fab-a63d-7e88639e58f6</CachePolicyId>`
	behavior := func(pattern string) string {
		return `<CacheBehavior><PathPattern>` + pattern + `</PathPattern><TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>` + policy + `</CacheBehavior>`
	}
	with := func(more string) string { return strings.Replace(body, "<Comment/>", "<Comment/>"+more, 1) }
	change := func(old, new string) string { return strings.Replace(body, old, new, 1) }
	many := func(list, one string, n int) string {
		return `<` + list + `><Quantity>` + strconv.Itoa(n) + `</Quantity><Items>` + strings.Repeat(one, n) + `</Items></` + list + `>`
	}
	origin := func(more string) string { return change("</DomainName>", "</DomainName>"+more) }
	certificate := func(before, region, more string) string {
		return "<ViewerCertificate>" + before + "<ACMCertificateArn>arn:aws:acm:" + region + ":123456789012:certificate/c</ACMCertificateArn>" + more + "</ViewerCertificate>"
	}
	custom := func(port, protocol string) string {
		return "<CustomOriginConfig><HTTPPort>" + port + "</HTTPPort><HTTPSPort>443</HTTPSPort><OriginProtocolPolicy>http-only</OriginProtocolPolicy><OriginSslProtocols><Quantity>1</Quantity><Items><SslProtocol>" +
			protocol + "</SslProtocol></Items></OriginSslProtocols></CustomOriginConfig>"
	}
	lambda := func(arn, event string) string {
		return "<LambdaFunctionAssociations><Quantity>1</Quantity><Items><LambdaFunctionAssociation><LambdaFunctionARN>" + arn + "</LambdaFunctionARN><EventType>" + event +
			"</EventType></LambdaFunctionAssociation></Items></LambdaFunctionAssociations>"
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"nothing":                   {"", 400, "MissingBody"},
		"no XML":                    {"{}", 400, "MalformedInput"},
		"cut off":                   {body[:len(body)-5], 400, "MalformedInput"},
		"another document":          {"<CachePolicyConfig/>", 400, "MalformedInput"},
		"unknown element":           {with("<Commend>x</Commend>"), 400, "MalformedInput"},
		"element twice":             {with("<Comment/>"), 400, "MalformedInput"},
		"text among elements":       {with("<Aliases>x<Quantity>0</Quantity></Aliases>"), 400, "MalformedInput"},
		"two kinds in a list":       {with("<Aliases><Quantity>2</Quantity><Items><CNAME>a.b</CNAME><Name>c.d</Name></Items></Aliases>"), 400, "MalformedInput"},
		"deep":                      {with(strings.Repeat("<a>", 100000)), 400, "MalformedInput"},
		"wide":                      {with("<Aliases><Quantity>100000</Quantity><Items>" + strings.Repeat("<CNAME/>", 100000) + "</Items></Aliases>"), 400, "MalformedInput"},
		"not a number":              {with("<CacheBehaviors><Quantity>x</Quantity></CacheBehaviors>"), 400, "MalformedInput"},
		"not a bool":                {change("<Enabled>true", "<Enabled>maybe"), 400, "MalformedInput"},
		"no caller reference":       {change("<CallerReference>r</CallerReference>", ""), 400, "MalformedXML"},
		"no target":                 {change("<TargetOriginId>o</TargetOriginId>", ""), 400, "MalformedXML"},
		"no domain name":            {change("<DomainName>example.com</DomainName>", ""), 400, "MalformedXML"},
		"quantity":                  {change("<Quantity>1", "<Quantity>2"), 400, "InconsistentQuantities"},
		"quantity without items":    {with("<Aliases><Quantity>1</Quantity></Aliases>"), 400, "InconsistentQuantities"},
		"empty caller reference":    {change(">r<", "><"), 400, "InvalidArgument"},
		"origin":                    {change("<TargetOriginId>o", "<TargetOriginId>p"), 404, "NoSuchOrigin"},
		"cache policy":              {change("658327ea", "00000000"), 404, "NoSuchCachePolicy"},
		"key group":                 {change(policy, policy+`<TrustedKeyGroups><Enabled>true</Enabled><Quantity>1</Quantity><Items><KeyGroup>g</KeyGroup></Items></TrustedKeyGroups>`), 400, "TrustedKeyGroupDoesNotExist"},
		"policy and values":         {change(policy, policy+"<MinTTL>0</MinTTL>"), 400, "InvalidArgument"},
		"policy and forwarded":      {change(policy, policy+"<ForwardedValues><QueryString>false</QueryString><Cookies><Forward>none</Forward></Cookies></ForwardedValues>"), 400, "InvalidArgument"},
		"neither":                   {change(policy, ""), 400, "InvalidArgument"},
		"order of TTLs":             {change(policy, "<ForwardedValues><QueryString>false</QueryString></ForwardedValues><MinTTL>5</MinTTL><DefaultTTL>4</DefaultTTL>"), 400, "InvalidTTLOrder"},
		"cookies":                   {change(policy, "<ForwardedValues><QueryString>false</QueryString><Cookies><Forward>whitelist</Forward></Cookies></ForwardedValues>"), 400, "InvalidForwardCookies"},
		"root object":               {with("<DefaultRootObject>/index.html</DefaultRootObject>"), 400, "InvalidDefaultRootObject"},
		"error code":                {with("<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>418</ErrorCode></CustomErrorResponse></Items></CustomErrorResponses>"), 400, "InvalidErrorCode"},
		"response code":             {with("<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>404</ErrorCode><ResponseCode>201</ResponseCode><ResponsePagePath>/x</ResponsePagePath></CustomErrorResponse></Items></CustomErrorResponses>"), 400, "InvalidResponseCode"},
		"response without page":     {with("<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>404</ErrorCode><ResponseCode>200</ResponseCode></CustomErrorResponse></Items></CustomErrorResponses>"), 400, "InvalidArgument"},
		"geo restriction":           {with("<Restrictions><GeoRestriction><RestrictionType>some</RestrictionType><Quantity>0</Quantity></GeoRestriction></Restrictions>"), 400, "InvalidGeoRestrictionParameter"},
		"location":                  {with("<Restrictions><GeoRestriction><RestrictionType>whitelist</RestrictionType><Quantity>1</Quantity><Items><Location>fi</Location></Items></GeoRestriction></Restrictions>"), 400, "InvalidLocationCode"},
		"methods":                   {change(policy, policy+"<AllowedMethods><Quantity>1</Quantity><Items><Method>GET</Method></Items></AllowedMethods>"), 400, "InvalidArgument"},
		"protocol policy":           {change("allow-all", "allow-some"), 400, "InvalidArgument"},
		"76 behaviors":              {with(many("CacheBehaviors", behavior("/x"), 75)), 400, "TooManyCacheBehaviors"},
		"11 origin groups":          {with(many("OriginGroups", "<OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>2</Quantity><Items><OriginGroupMember><OriginId>o</OriginId></OriginGroupMember><OriginGroupMember><OriginId>p</OriginId></OriginGroupMember></Items></Members></OriginGroup>", 11)), 400, "TooManyOriginGroupsPerDistribution"},
		"101 origins":               {change("<Origins><Quantity>1</Quantity><Items>", "<Origins><Quantity>101</Quantity><Items>"+strings.Repeat("<Origin><Id>p</Id><DomainName>example.com</DomainName></Origin>", 100)), 400, "TooManyOrigins"},
		"101 aliases":               {with(many("Aliases", "<CNAME>a.example.com</CNAME>", 101)), 400, "TooManyDistributionCNAMEs"},
		"an alias that is no host":  {with(many("Aliases", "<CNAME>a b</CNAME>", 1)), 400, "InvalidArgument"},
		"an alias of somebody else": {with(many("Aliases", "<CNAME>www.example.com</CNAME>", 1)), 409, "CNAMEAlreadyExists"},
		"group of one":              {with("<OriginGroups><Quantity>1</Quantity><Items><OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>1</Quantity><Items><OriginGroupMember><OriginId>o</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>"), 400, "InvalidArgument"},
		"group of unknown origins":  {with("<OriginGroups><Quantity>1</Quantity><Items><OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>1</Quantity><Items><OriginGroupMember><OriginId>p</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>"), 404, "NoSuchOrigin"},
		"long comment":              {change("<Comment/>", "<Comment>"+strings.Repeat("é", 129)+"</Comment>"), 400, "InvalidArgument"},
		"pattern twice":             {with("<CacheBehaviors><Quantity>2</Quantity><Items>" + behavior("/x") + behavior("x") + "</Items></CacheBehaviors>"), 400, "InvalidArgument"},
		"pattern with a space":      {with(many("CacheBehaviors", behavior("/a b"), 1)), 400, "InvalidArgument"},
		"alias twice":               {with("<Aliases><Quantity>2</Quantity><Items><CNAME>a.b</CNAME><CNAME>A.b</CNAME></Items></Aliases>"), 400, "InvalidArgument"},
		"nowhere":                   {with("<Restrictions><GeoRestriction><RestrictionType>whitelist</RestrictionType><Quantity>0</Quantity></GeoRestriction></Restrictions>"), 400, "InvalidGeoRestrictionParameter"},
		"unrestricted places":       {with("<Restrictions><GeoRestriction><RestrictionType>none</RestrictionType><Quantity>1</Quantity><Items><Location>FI</Location></Items></GeoRestriction></Restrictions>"), 400, "InvalidGeoRestrictionParameter"},
		"header of cache tags":      {with("<CacheTagConfig><HeaderName>x y</HeaderName></CacheTagConfig>"), 400, "InvalidArgument"},
		"web ACL":                   {with("<WebACLId>mine</WebACLId>"), 400, "InvalidWebACLId"},
		"continuous deployment":     {with("<ContinuousDeploymentPolicyId>p</ContinuousDeploymentPolicyId>"), 404, "NoSuchContinuousDeploymentPolicy"},
		"two certificates":          {with(certificate("<CloudFrontDefaultCertificate>true</CloudFrontDefaultCertificate>", "us-east-1", "<SSLSupportMethod>sni-only</SSLSupportMethod>")), 400, "InvalidViewerCertificate"},
		"certificate elsewhere":     {with(certificate("", "eu-west-1", "<SSLSupportMethod>sni-only</SSLSupportMethod>")), 400, "InvalidViewerCertificate"},
		"certificate without SNI":   {with(certificate("", "us-east-1", "")), 400, "InvalidViewerCertificate"},
		"TLS version":               {with(certificate("", "us-east-1", "<SSLSupportMethod>sni-only</SSLSupportMethod><MinimumProtocolVersion>TLSv9</MinimumProtocolVersion>")), 400, "InvalidMinimumProtocolVersion"},
		"origin access control":     {origin("<OriginAccessControlId>E1</OriginAccessControlId>"), 400, "InvalidOriginAccessControl"},
		"origin access identity":    {origin("<S3OriginConfig><OriginAccessIdentity>mine</OriginAccessIdentity></S3OriginConfig>"), 400, "InvalidOriginAccessIdentity"},
		"both":                      {origin("<OriginAccessControlId>E1</OriginAccessControlId><S3OriginConfig><OriginAccessIdentity>mine</OriginAccessIdentity></S3OriginConfig>"), 400, "IllegalOriginAccessConfiguration"},
		"shield without a region":   {origin("<OriginShield><Enabled>true</Enabled></OriginShield>"), 400, "InvalidArgument"},
		"header of our own":         {origin("<CustomHeaders><Quantity>1</Quantity><Items><OriginCustomHeader><HeaderName>X-Amz-Cf-Id</HeaderName><HeaderValue>x</HeaderValue></OriginCustomHeader></Items></CustomHeaders>"), 400, "InvalidArgument"},
		"port":                      {origin(custom("22", "TLSv1.2")), 400, "InvalidArgument"},
		"protocol of origins":       {origin(custom("80", "TLSv9")), 400, "InvalidArgument"},
		"group of the same":         {with("<OriginGroups><Quantity>1</Quantity><Items><OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>2</Quantity><Items><OriginGroupMember><OriginId>o</OriginId></OriginGroupMember><OriginGroupMember><OriginId>o</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>"), 400, "InvalidArgument"},
		"latest Lambda":             {change(policy, policy+lambda("arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST", "viewer-request")), 400, "InvalidLambdaFunctionAssociation"},
		"Lambda elsewhere":          {change(policy, policy+lambda("arn:aws:lambda:eu-west-1:123456789012:function:f:1", "viewer-request")), 400, "InvalidLambdaFunctionAssociation"},
		"Lambda event":              {change(policy, policy+lambda("arn:aws:lambda:us-east-1:123456789012:function:f:1", "some")), 400, "InvalidLambdaFunctionAssociation"},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, s, http.MethodPost, "/2020-05-31/distribution", tt.body)
			if got.status != tt.status || !strings.Contains(got.body, "<Code>"+tt.code+"</Code>") {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, tt.code)
			}
		})
	}
	whole := strings.Replace(origin(custom("8443", "TLSv1.2")), "<Comment/>", "<Comment>"+strings.Repeat("é", 128)+"</Comment>"+
		"<WebACLId>arn:aws:wafv2:us-east-1:123456789012:global/webacl/mine/473e64fd</WebACLId><CacheTagConfig><HeaderName>x-amz-meta-cache-tag</HeaderName></CacheTagConfig>"+
		certificate("<CloudFrontDefaultCertificate>false</CloudFrontDefaultCertificate>", "us-east-1", "<SSLSupportMethod>sni-only</SSLSupportMethod><MinimumProtocolVersion>TLSv1.2_2021</MinimumProtocolVersion>")+
		many("CacheBehaviors", behavior(`/a-_.$~"'@:+&amp;?*`), 1), 1)
	whole = strings.Replace(whole, "</CachePolicyId></DefaultCacheBehavior>", "</CachePolicyId>"+lambda("arn:aws:lambda:us-east-1:123456789012:function:f:12", "origin-request")+"</DefaultCacheBehavior>", 1)
	if got := send(t, s, http.MethodPost, "/2020-05-31/distribution", strings.Replace(whole, ">r<", ">whole<", 1)); got.status != 201 {
		t.Errorf("what is allowed: %+v", got)
	}
	if got := send(t, s, http.MethodPost, "/2020-05-31/distribution", body); got.status != 201 {
		t.Errorf("the body that all of them are made from: %+v", got)
	}
}
