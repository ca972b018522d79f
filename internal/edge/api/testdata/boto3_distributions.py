"""Makes, changes and deletes a distribution and what it uses at the URL in sys.argv[1] with boto3 and prints what it saw as JSON."""
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client("cloudfront", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 0}))
seen = {}


def error_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]]
    return None


policy = client.create_cache_policy(CachePolicyConfig={
    "Name": "boto3", "MinTTL": 1, "DefaultTTL": 20, "MaxTTL": 30,
    "ParametersInCacheKeyAndForwardedToOrigin": {
        "EnableAcceptEncodingGzip": True, "EnableAcceptEncodingBrotli": True,
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": {"Quantity": 1, "Items": ["Accept-Language"]}},
        "CookiesConfig": {"CookieBehavior": "none"}, "QueryStringsConfig": {"QueryStringBehavior": "all"}}})["CachePolicy"]
config = {
    "CallerReference": "boto3", "Comment": "<made> by boto3 é", "Enabled": True,
    "Aliases": {"Quantity": 2, "Items": ["boto3.example.com", "*.boto3.example.com"]},
    "DefaultRootObject": "index.html",
    "Origins": {"Quantity": 2, "Items": [
        {"Id": "bucket", "DomainName": "assets.s3.eu-west-1.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}},
        {"Id": "app", "DomainName": "app.example.com", "OriginPath": "/v1",
         "CustomHeaders": {"Quantity": 1, "Items": [{"HeaderName": "X-A", "HeaderValue": "b"}]},
         "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only", "OriginReadTimeout": 9,
                                "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]}}}]},
    "OriginGroups": {"Quantity": 1, "Items": [{"Id": "either", "FailoverCriteria": {"StatusCodes": {"Quantity": 2, "Items": [500, 503]}},
                                              "Members": {"Quantity": 2, "Items": [{"OriginId": "bucket"}, {"OriginId": "app"}]}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "either", "ViewerProtocolPolicy": "redirect-to-https", "CachePolicyId": policy["Id"], "Compress": True},
    "CacheBehaviors": {"Quantity": 1, "Items": [{
        "PathPattern": "/api/*", "TargetOriginId": "app", "ViewerProtocolPolicy": "https-only", "MinTTL": 0, "DefaultTTL": 5, "MaxTTL": 6,
        "AllowedMethods": {"Quantity": 7, "Items": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"], "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]}},
        "ForwardedValues": {"QueryString": True, "Cookies": {"Forward": "whitelist", "WhitelistedNames": {"Quantity": 1, "Items": ["session"]}}}}]},
    "CustomErrorResponses": {"Quantity": 1, "Items": [{"ErrorCode": 404, "ResponsePagePath": "/404.html", "ResponseCode": "200", "ErrorCachingMinTTL": 3}]},
}
made = client.create_distribution_with_tags(DistributionConfigWithTags={"DistributionConfig": config, "Tags": {"Items": [{"Key": "k", "Value": "v"}]}})
identity = made["Distribution"]["Id"]
seen["made"] = [made["ResponseMetadata"]["HTTPStatusCode"], made["Location"].endswith("/distribution/" + identity), made["Distribution"]["Status"]]


def kept(given, got):
    """Whether everything that was given is in what was got."""
    if isinstance(given, dict):
        return all(name in got and kept(value, got[name]) for name, value in given.items())
    if isinstance(given, list):
        return len(given) == len(got) and all(kept(a, b) for a, b in zip(given, got))
    return given == got


got = client.get_distribution_config(Id=identity)
seen["kept"] = kept(config, got["DistributionConfig"])
seen["tags"] = client.list_tags_for_resource(Resource=made["Distribution"]["ARN"])["Tags"]["Items"]
seen["using"] = client.list_distributions_by_cache_policy_id(CachePolicyId=policy["Id"])["DistributionIdList"]["Items"] == [identity]
seen["errors"] = [
    error_of(client.create_distribution, DistributionConfig=config),
    error_of(client.create_distribution, DistributionConfig=dict(config, CallerReference="other")),
    error_of(client.update_distribution, Id=identity, DistributionConfig=got["DistributionConfig"], IfMatch="ESTALE"),
    error_of(client.update_distribution, Id=identity, DistributionConfig=got["DistributionConfig"]),
    error_of(client.delete_distribution, Id=identity, IfMatch=got["ETag"]),
    error_of(client.get_cache_policy, Id="none"),
]
client.get_waiter("distribution_deployed").wait(Id=identity, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
disabled = client.update_distribution(Id=identity, DistributionConfig=dict(got["DistributionConfig"], Enabled=False), IfMatch=got["ETag"])
seen["errors"].append(error_of(client.delete_distribution, Id=identity, IfMatch=disabled["ETag"]))
client.get_waiter("distribution_deployed").wait(Id=identity, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
client.delete_distribution(Id=identity, IfMatch=disabled["ETag"])
seen["gone"] = error_of(client.get_distribution, Id=identity)
client.delete_cache_policy(Id=policy["Id"], IfMatch=client.get_cache_policy(Id=policy["Id"])["ETag"])
seen["managed"] = len(client.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]) > 5
print(json.dumps(seen))
