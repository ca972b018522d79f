"""Drives the CloudFront API at the URL in sys.argv[1] with boto3 and prints what it saw as JSON."""
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client("cloudfront", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 0}))
seen = {"version": boto3.__version__}


def error_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"], type(e).__name__]
    return None


def batch(reference, *paths):
    return {"CallerReference": reference, "Paths": {"Quantity": len(paths), "Items": list(paths)}}


created = client.create_invalidation(DistributionId="E1PLAIN", InvalidationBatch=batch("boto3", "/a%20b", "/%C3%A9?x=1&y=2", "/c*"))
seen["status"] = created["ResponseMetadata"]["HTTPStatusCode"]
seen["location"] = created["Location"]
seen["created"] = created["Invalidation"]["Status"]
identity = created["Invalidation"]["Id"]
client.get_waiter("invalidation_completed").wait(DistributionId="E1PLAIN", Id=identity, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
found = client.get_invalidation(DistributionId="E1PLAIN", Id=identity)["Invalidation"]
seen["found"] = [found["Id"] == identity, found["Status"], found["InvalidationBatch"]["CallerReference"], found["InvalidationBatch"]["Paths"]["Quantity"]]
for n in range(4):
    client.create_invalidation(DistributionId="E1PLAIN", InvalidationBatch=batch("boto3-%d" % n, "/%d" % n))
pages = client.get_paginator("list_invalidations").paginate(DistributionId="E1PLAIN", PaginationConfig={"PageSize": 2})
listed = [i["Id"] for p in pages for i in p["InvalidationList"].get("Items", [])]
seen["listed"] = [len(listed), len(set(listed)), listed[-1] == identity]
seen["distributions"] = [[d["Id"], d["Aliases"].get("Items", []), [o["Id"] for o in d["Origins"]["Items"]], d["Comment"]]
                         for p in client.get_paginator("list_distributions").paginate() for d in p["DistributionList"]["Items"]]
distribution = client.get_distribution(Id="E2RICH")
config = client.get_distribution_config(Id="E2RICH")
seen["same"] = [distribution["Distribution"]["DistributionConfig"] == config["DistributionConfig"], distribution["ETag"] == config["ETag"]]
seen["behavior"] = config["DistributionConfig"]["CacheBehaviors"]["Items"][0]["ForwardedValues"]["QueryString"]
seen["modified"] = distribution["Distribution"]["LastModifiedTime"].isoformat()
seen["errors"] = [
    error_of(client.create_invalidation, DistributionId="E1PLAIN", InvalidationBatch=batch("boto3", "/other")),
    error_of(client.create_invalidation, DistributionId="ENONE", InvalidationBatch=batch("x", "/a")),
    error_of(client.create_invalidation, DistributionId="E1PLAIN", InvalidationBatch={"CallerReference": "x", "Paths": {"Quantity": 1, "Items": ["/a", "/b"]}}),
    error_of(client.get_invalidation, DistributionId="E1PLAIN", Id="INONE"),
    error_of(client.get_distribution, Id="odd/id ~é+*"),
]
wrong = boto3.client("cloudfront", endpoint_url=sys.argv[1], aws_secret_access_key="wrong", aws_access_key_id=client._request_signer._credentials.access_key)
seen["errors"].append(error_of(wrong.list_distributions))
print(json.dumps(seen))
