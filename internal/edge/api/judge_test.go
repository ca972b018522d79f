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
		"101 aliases":               {with(many("Aliases", "<CNAME>a.example.com</CNAME>", 101)), 400, "TooManyDistributionCNAMEs"},
		"an alias that is no host":  {with(many("Aliases", "<CNAME>a b</CNAME>", 1)), 400, "InvalidArgument"},
		"an alias of somebody else": {with(many("Aliases", "<CNAME>www.example.com</CNAME>", 1)), 409, "CNAMEAlreadyExists"},
		"group of one":              {with("<OriginGroups><Quantity>1</Quantity><Items><OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>1</Quantity><Items><OriginGroupMember><OriginId>o</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>"), 400, "InvalidArgument"},
		"group of unknown origins":  {with("<OriginGroups><Quantity>1</Quantity><Items><OriginGroup><Id>g</Id><FailoverCriteria><StatusCodes><Quantity>1</Quantity><Items><StatusCode>500</StatusCode></Items></StatusCodes></FailoverCriteria><Members><Quantity>1</Quantity><Items><OriginGroupMember><OriginId>p</OriginId></OriginGroupMember></Items></Members></OriginGroup></Items></OriginGroups>"), 404, "NoSuchOrigin"},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, s, http.MethodPost, "/2020-05-31/distribution", tt.body)
			if got.status != tt.status || !strings.Contains(got.body, "<Code>"+tt.code+"</Code>") {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, tt.code)
			}
		})
	}
	if got := send(t, s, http.MethodPost, "/2020-05-31/distribution", body); got.status != 201 {
		t.Errorf("the body that all of them are made from: %+v", got)
	}
}
