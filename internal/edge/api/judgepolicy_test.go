package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// What CloudFront refuses of policies and what belongs to them.
func TestRefusedPolicies(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	key := func(ttl, gzip, cookies, more string) string {
		return "<CachePolicyConfig><Name>p</Name><MinTTL>0</MinTTL><DefaultTTL>0</DefaultTTL><MaxTTL>" + ttl + "</MaxTTL>" + more + "<ParametersInCacheKeyAndForwardedToOrigin><EnableAcceptEncodingGzip>" + gzip +
			"</EnableAcceptEncodingGzip><HeadersConfig><HeaderBehavior>none</HeaderBehavior></HeadersConfig><CookiesConfig><CookieBehavior>" + cookies +
			"</CookieBehavior></CookiesConfig><QueryStringsConfig><QueryStringBehavior>none</QueryStringBehavior></QueryStringsConfig></ParametersInCacheKeyAndForwardedToOrigin></CachePolicyConfig>"
	}
	request := func(header string) string {
		return "<OriginRequestPolicyConfig><Name>p</Name><HeadersConfig><HeaderBehavior>whitelist</HeaderBehavior><Headers><Quantity>1</Quantity><Items><Name>" + header +
			"</Name></Items></Headers></HeadersConfig><CookiesConfig><CookieBehavior>none</CookieBehavior></CookiesConfig><QueryStringsConfig><QueryStringBehavior>none</QueryStringBehavior></QueryStringsConfig></OriginRequestPolicyConfig>"
	}
	response := func(inside string) string {
		return "<ResponseHeadersPolicyConfig><Name>p</Name>" + inside + "</ResponseHeadersPolicyConfig>"
	}
	custom := func(names, value string) string {
		var list strings.Builder
		for name := range strings.SplitSeq(names, " ") {
			list.WriteString("<ResponseHeadersPolicyCustomHeader><Header>" + name + "</Header><Value>" + value + "</Value><Override>true</Override></ResponseHeadersPolicyCustomHeader>")
		}
		return response("<CustomHeadersConfig><Quantity>" + string(rune('1'+strings.Count(names, " "))) + "</Quantity><Items>" + list.String() + "</Items></CustomHeadersConfig>")
	}
	remove := func(name string) string {
		return response("<RemoveHeadersConfig><Quantity>1</Quantity><Items><ResponseHeadersPolicyRemoveHeader><Header>" + name + "</Header></ResponseHeadersPolicyRemoveHeader></Items></RemoveHeadersConfig>")
	}
	security := func(inside string) string {
		return response("<SecurityHeadersConfig>" + inside + "</SecurityHeadersConfig>")
	}
	cors := func(method, more string) string {
		return response("<CorsConfig><AccessControlAllowOrigins><Quantity>1</Quantity><Items><Origin>*</Origin></Items></AccessControlAllowOrigins><AccessControlAllowHeaders><Quantity>1</Quantity><Items><Header>*</Header></Items></AccessControlAllowHeaders>" +
			"<AccessControlAllowMethods><Quantity>1</Quantity><Items><Method>" + method + "</Method></Items></AccessControlAllowMethods><AccessControlAllowCredentials>false</AccessControlAllowCredentials>" + more + "<OriginOverride>true</OriginOverride></CorsConfig>")
	}
	long := func(n int) string { return "<Comment>" + strings.Repeat("x", n) + "</Comment>" }
	for name, tt := range map[string]struct{ path, body, code string }{
		"cookies of what is not cached":     {"cache-policy", key("0", "false", "all", ""), "InvalidArgument"},
		"compression of what is not cached": {"cache-policy", key("0", "true", "none", ""), "InvalidArgument"},
		"long comment":                      {"cache-policy", key("0", "false", "none", long(129)), "InvalidArgument"},
		"half a cache key":                  {"cache-policy", strings.Replace(key("1", "true", "none", ""), "<EnableAcceptEncodingGzip>true</EnableAcceptEncodingGzip>", "", 1), "MalformedXML"},
		"authorization":                     {"origin-request-policy", request("authorization"), "InvalidArgument"},
		"accept-encoding":                   {"origin-request-policy", request("Accept-Encoding"), "InvalidArgument"},
		"no header":                         {"response-headers-policy", custom("a:b", "x"), "InvalidArgument"},
		"header twice":                      {"response-headers-policy", custom("X-A x-a", "x"), "InvalidArgument"},
		"header of the connection":          {"response-headers-policy", custom("Transfer-Encoding", "x"), "InvalidArgument"},
		"two lines":                         {"response-headers-policy", custom("X-A", "x&#13;&#10;Set-Cookie: y"), "InvalidArgument"},
		"remove Via":                        {"response-headers-policy", remove("Via"), "InvalidArgument"},
		"remove ours":                       {"response-headers-policy", remove("X-Amz-Cf-Pop"), "InvalidArgument"},
		"referrer":                          {"response-headers-policy", security("<ReferrerPolicy><Override>true</Override><ReferrerPolicy>all</ReferrerPolicy></ReferrerPolicy>"), "InvalidArgument"},
		"negative age":                      {"response-headers-policy", security("<StrictTransportSecurity><Override>true</Override><AccessControlMaxAgeSec>-1</AccessControlMaxAgeSec></StrictTransportSecurity>"), "InvalidArgument"},
		"block and report":                  {"response-headers-policy", security("<XSSProtection><Override>true</Override><Protection>true</Protection><ModeBlock>true</ModeBlock><ReportUri>/r</ReportUri></XSSProtection>"), "InvalidArgument"},
		"two lines of CSP":                  {"response-headers-policy", security("<ContentSecurityPolicy><Override>true</Override><ContentSecurityPolicy>a&#10;b</ContentSecurityPolicy></ContentSecurityPolicy>"), "InvalidArgument"},
		"sampling":                          {"response-headers-policy", response("<ServerTimingHeadersConfig><Enabled>true</Enabled><SamplingRate>101</SamplingRate></ServerTimingHeadersConfig>"), "InvalidArgument"},
		"method":                            {"response-headers-policy", cors("FETCH", ""), "InvalidArgument"},
		"negative CORS":                     {"response-headers-policy", cors("GET", "<AccessControlMaxAgeSec>-1</AccessControlMaxAgeSec>"), "InvalidArgument"},
		"long name":                         {"origin-access-control", "<OriginAccessControlConfig><Name>" + strings.Repeat("x", 65) + "</Name><SigningProtocol>sigv4</SigningProtocol><SigningBehavior>always</SigningBehavior><OriginAccessControlOriginType>s3</OriginAccessControlOriginType></OriginAccessControlConfig>", "InvalidArgument"},
		"Amazon's tag":                      {"tagging?Operation=Tag&Resource=arn:aws:cloudfront::123456789012:distribution/E1PLAIN", "<Tags><Items><Tag><Key>aws:x</Key><Value>y</Value></Tag></Items></Tags>", "InvalidTagging"},
		"neither tag nor untag":             {"tagging?Operation=Look&Resource=arn:aws:cloudfront::123456789012:distribution/E1PLAIN", "<Tags/>", "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, send(t, s, http.MethodPost, "/2020-05-31/"+tt.path, tt.body), http.StatusBadRequest, tt.code)
		})
	}
	for path, body := range map[string]string{
		"cache-policy": key("0", "false", "none", long(128)), "origin-request-policy": request("CloudFront-Viewer-Country"), "response-headers-policy": custom("X-A x-b", "x;\ty é"),
	} {
		if got := send(t, s, http.MethodPost, "/2020-05-31/"+path, body); got.status != http.StatusCreated {
			t.Errorf("what is allowed: %s: %+v", path, got)
		}
	}
	if got := send(t, s, http.MethodPost, "/2020-05-31/response-headers-policy", strings.Replace(remove("Server"), "<Name>p", "<Name>q", 1)); got.status != http.StatusCreated {
		t.Errorf("remove Server: %+v", got)
	}
}
