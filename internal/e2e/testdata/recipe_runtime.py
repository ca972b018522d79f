# What AWS runs around a Python handler: import it, then next and response for ever.
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
import http.client
import importlib.util
import json
import os
import sys

RUNTIME = "/2018-06-01/runtime/"
spec = importlib.util.spec_from_file_location("handler", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", RUNTIME + "invocation/next")
    event = api.getresponse()
    request_id, text = event.getheader("Lambda-Runtime-Aws-Request-Id"), event.read()
    try:
        kind, answer = "response", module.handler(json.loads(text), None)
    except Exception as failed:
        kind, answer = "error", {"errorMessage": str(failed), "errorType": type(failed).__name__}
    api.request("POST", RUNTIME + "invocation/" + request_id + "/" + kind, json.dumps(answer))
    api.getresponse().read()
