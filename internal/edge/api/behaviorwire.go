package api

import (
	"cmp"

	"github.com/freshet/freshet/internal/distribution"
)

// behaviorElements shows a behavior without its path pattern. It has either the
// ID of a cache policy, or forwarded values and TTLs.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CacheBehavior.html
func behaviorElements(b distribution.CacheBehavior) []element {
	return append([]element{
		text("TargetOriginId", b.TargetOriginID),
		trusted("TrustedSigners", "AwsAccountNumber", b.TrustedSigners),
		trusted("TrustedKeyGroups", "KeyGroup", b.TrustedKeyGroups),
		text("ViewerProtocolPolicy", cmp.Or(b.ViewerProtocolPolicy, "allow-all")),
		methodsElement(b.AllowedMethods, b.CachedMethods),
		flag("SmoothStreaming", b.SmoothStreaming),
		flag("Compress", b.Compress),
		list("LambdaFunctionAssociations", each(b.LambdaFunctionAssociations, func(a distribution.LambdaFunctionAssociation) element {
			return group("LambdaFunctionAssociation", text("LambdaFunctionARN", a.LambdaFunctionARN), text("EventType", a.EventType), flag("IncludeBody", a.IncludeBody))
		})),
		list("FunctionAssociations", each(b.FunctionAssociations, func(a distribution.FunctionAssociation) element {
			return group("FunctionAssociation", text("FunctionARN", a.FunctionARN), text("EventType", a.EventType))
		})),
		text("FieldLevelEncryptionId", b.FieldLevelEncryptionID),
		optional("RealtimeLogConfigArn", b.RealtimeLogConfigARN),
		optional("OriginRequestPolicyId", b.OriginRequestPolicyID),
		optional("ResponseHeadersPolicyId", b.ResponseHeadersPolicyID),
		grpcElement(b.GRPCConfig),
	}, cachingElements(b)...)
}

func cachingElements(b distribution.CacheBehavior) []element {
	if b.CachePolicyID != "" {
		return []element{text("CachePolicyId", b.CachePolicyID)}
	}
	seconds := func(name string, ttl *int64, normal int64) element { return number(name, *cmp.Or(ttl, &normal)) }
	return []element{
		forwardedElement(cmp.Or(b.ForwardedValues, &distribution.ForwardedValues{})),
		seconds("MinTTL", b.MinTTL, distribution.DefaultMinTTL),
		seconds("DefaultTTL", b.DefaultTTL, distribution.DefaultDefaultTTL),
		seconds("MaxTTL", b.MaxTTL, distribution.DefaultMaxTTL),
	}
}

// trusted is a list that says whether anybody is on it.
func trusted(name, member string, ids []string) element {
	return group(name, append([]element{flag("Enabled", len(ids) > 0)}, items(texts(member, ids))...)...)
}

func methodsElement(allowed, cached []string) element {
	normal := []string{"HEAD", "GET"}
	if len(allowed) == 0 {
		allowed = normal
	}
	if len(cached) == 0 {
		cached = normal
	}
	return group("AllowedMethods", append(items(texts("Method", allowed)), named("CachedMethods", "Method", cached))...)
}

func grpcElement(g *distribution.GRPCConfig) element {
	return group("GrpcConfig", flag("Enabled", g != nil && g.Enabled))
}

func forwardedElement(f *distribution.ForwardedValues) element {
	cookies := group("Cookies", text("Forward", cmp.Or(f.Cookies.Forward, "none")))
	if len(f.Cookies.WhitelistedNames) > 0 {
		cookies.below = append(cookies.below, named("WhitelistedNames", "Name", f.Cookies.WhitelistedNames))
	}
	return group("ForwardedValues", flag("QueryString", f.QueryString), cookies,
		named("Headers", "Name", f.Headers), named("QueryStringCacheKeys", "Name", f.QueryStringCacheKeys))
}
