package cloudformation

import (
	"cmp"
	"slices"
	"strings"
)

// bucket returns a bucket's name: as given, as the template says, or else what
// stands for it, with a warning.
func (r *resolver) bucket(id string) string {
	if given, ok := r.o.Resources[id]; ok {
		return given
	}
	if name, done := r.buckets[id]; done {
		return name
	}
	name, why := r.property(id, "BucketName")
	if why != "" {
		name = cmp.Or(r.o.Bucket, strings.ToLower(id))
		r.warn("Resources."+id, "the bucket's name is not known (%s), and %q stands for it: give it as resource %s", why, name, id)
	}
	r.buckets[id] = name
	return name
}

// property returns a text that the template says of a resource, or why there is
// none.
func (r *resolver) property(id, name string) (value, why string) {
	const unsaid = "CloudFormation makes it up"
	res, _ := r.resources[id].(map[string]any)
	properties, _ := res["Properties"].(map[string]any)
	if properties[name] == nil {
		return "", unsaid
	}
	path := "Resources." + id
	v, err := r.attempt(func() any {
		leave, ok := r.enter(path, path)
		if !ok {
			return broken{}
		}
		defer leave()
		return r.value(properties[name], path+".Properties."+name, 0)
	})
	if err != nil {
		return "", strings.ReplaceAll(err.Error(), "\n", ", and ")
	}
	s, ok := plainText(v)
	if wanted := r.wanted(s); len(wanted) > 0 {
		return "", wanted[0].why
	}
	if !ok || s == "" || marked(s) {
		return "", unsaid
	}
	return s, ""
}

// bucketAttribute forms what a bucket is called.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
func (r *resolver) bucketAttribute(id, attribute, path string) any {
	switch attribute {
	case "Arn":
		return "arn:" + r.partition() + ":s3:::" + r.bucket(id)
	case "DomainName":
		return r.bucket(id) + ".s3." + r.suffix()
	case "RegionalDomainName":
		return r.bucket(id) + ".s3." + r.region() + "." + r.suffix()
	case "DualStackDomainName":
		return r.bucket(id) + ".s3.dualstack." + r.region() + "." + r.suffix()
	case "WebsiteURL":
		return "http://" + r.bucket(id) + ".s3-website" + websiteSeparator(r.region()) + r.region() + "." + r.suffix()
	}
	return r.fail(path, "a bucket has no attribute %s", attribute)
}

// websiteSeparator is a dash in the oldest regions.
// https://docs.aws.amazon.com/general/latest/gr/s3.html#s3_website_region_endpoints
func websiteSeparator(region string) string {
	old := []string{
		"us-east-1", "us-west-1", "us-west-2", "us-gov-west-1", "ap-southeast-1", "ap-southeast-2",
		"ap-northeast-1", "eu-west-1", "sa-east-1",
	}
	if slices.Contains(old, region) {
		return "-"
	}
	return "."
}
