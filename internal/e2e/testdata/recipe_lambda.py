# What people write: all keys of an event's records become paths of one request.
import os
import time

import boto3

cloudfront = boto3.client("cloudfront", endpoint_url=os.environ["AWS_ENDPOINT_URL_CLOUDFRONT"])


def handler(event, context):
    paths = ["/" + record["s3"]["object"]["key"] for record in event["Records"]]
    cloudfront.create_invalidation(
        DistributionId=os.environ["DISTRIBUTION_ID"],
        InvalidationBatch={
            "Paths": {"Quantity": len(paths), "Items": paths},
            "CallerReference": str(time.time()),
        },
    )
