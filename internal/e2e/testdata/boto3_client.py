# Does what it is told, one JSON line at a time, with boto3.
import json
import sys
import urllib.parse

import boto3
from botocore.config import Config

endpoint, bucket = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}))


def multipart(Key, Body):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=Key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=Key, UploadId=upload, PartNumber=1, Body=Body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return s3.complete_multipart_upload(Bucket=bucket, Key=Key, UploadId=upload, MultipartUpload=parts)["ETag"]


def do(op, key="", body="", keys=(), source=""):
    if op == "put":
        return s3.put_object(Bucket=bucket, Key=key, Body=body.encode())["ETag"]
    if op == "multipart":
        return multipart(key, body.encode())
    if op == "copy":
        return s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": source})["CopyObjectResult"]["ETag"]
    if op == "delete":
        return s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"]
    if op == "delete_objects":
        out = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys]})
        assert "Errors" not in out, out
        assert sorted(d["Key"] for d in out["Deleted"]) == sorted(keys), out
        return len(out["Deleted"])
    if op == "quote":
        return urllib.parse.quote(key)
    raise ValueError(op)


for line in sys.stdin:
    try:
        answer = {"result": do(**json.loads(line))}
    except Exception as e:
        answer = {"error": repr(e)}
    print(json.dumps(answer), flush=True)
