package barrier

import "strings"

// reasons say in words what the codes mean that Lambda gives for a failed update
// or state, and what can be done.
// https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
func reasons() map[string]string {
	const (
		network = "look at the function's subnets and security groups"
		image   = "look at the image in the registry, and at what its policy lets Lambda do"
		key     = "look at the function's KMS key, and at what its policy lets the function's role do"
		files   = "look at the function's file system and how its subnets reach it"
		again   = "nothing is wrong with the code: try again later"
		quota   = "ask for a higher quota, or free some of it"
		start   = "the new code did not start: look at its log"
	)
	return map[string]string{
		"EniLimitExceeded":                      "there are no more network interfaces for the function's VPC; " + quota,
		"InsufficientRolePermissions":           "the function's role lacks a permission, such as ec2:CreateNetworkInterface for a VPC",
		"InvalidConfiguration":                  "Lambda cannot use the function's configuration; read the reason it gives",
		"InternalError":                         "Lambda had an error of its own; " + again,
		"SubnetOutOfIPAddresses":                "the function's subnets have no free addresses; add a subnet or free some",
		"InvalidSubnet":                         "a subnet of the function is not there any more; " + network,
		"InvalidSecurityGroup":                  "a security group of the function is not there any more; " + network,
		"ImageDeleted":                          "the container image was deleted from its registry; push it again and release that",
		"ImageAccessDenied":                     "Lambda may not read the container image; " + image,
		"InvalidImage":                          "Lambda cannot run the container image: it must be one image for the function's architecture, not a list of several; " + image,
		"KMSKeyAccessDenied":                    "Lambda may not use the KMS key; " + key,
		"KMSKeyNotFound":                        "the KMS key is not there any more; " + key,
		"InvalidStateKMSKey":                    "the KMS key is being deleted or not usable; " + key,
		"DisabledKMSKey":                        "the KMS key is disabled; " + key,
		"EFSIOError":                            "the file system answers with errors; " + files,
		"EFSMountConnectivityError":             "the file system cannot be reached; " + files,
		"EFSMountFailure":                       "the file system cannot be mounted; " + files,
		"EFSMountTimeout":                       "the file system could not be mounted in time; " + files,
		"InvalidRuntime":                        "the function's runtime is none that Lambda has, or has still; choose another",
		"InvalidZipFileException":               "Lambda cannot unpack the zip; make it anew, with the files at its root",
		"FunctionError":                         start,
		"FunctionError.InitTimeout":             "the new code did not get ready in time; do less before the first request, or give it more memory",
		"FunctionError.RuntimeInitError":        "the runtime of the new code ended while it started: look at its log",
		"FunctionError.ExtensionInitError":      "an extension ended while it started: look at the function's layers and its log",
		"FunctionError.InvalidEntryPoint":       "there is no program where the image or the handler says it is; look at ENTRYPOINT, or that bootstrap is at the root of the zip",
		"FunctionError.InvalidWorkingDirectory": "the working directory of the image is not there; look at WORKDIR",
		"FunctionError.PermissionDenied":        "the program may not be executed: it needs its executable bit, in the zip too",
		"FunctionError.TooManyExtensions":       "there are more extensions than Lambda allows; take layers away",
		"FunctionError.InitResourceExhausted":   "the new code ran out of memory or files while it started; give it more memory",
		"ServiceQuotaExceededException":         "a quota of the account is used up; " + quota,
		"VcpuLimitExceeded":                     "the account's quota of processors is used up; " + quota,
		"CapacityProviderScalingLimitExceeded":  "the capacity provider may not grow any more; raise its limit",
		"InsufficientCapacity":                  "there is no capacity for it right now; " + again,
		"EC2RequestLimitExceeded":               "EC2 refused Lambda's requests as too many; " + again,
		"DisallowedByVpcEncryptionControl":      "the VPC demands encryption that the function's network interfaces would not have; " + network,
		"DependencyError":                       "a service that Lambda depends on failed; " + again,
		"Idle":                                  "the function was not called for long and sleeps",
		"Creating":                              "the function is being made",
		"Restoring":                             "the function sleeps and is being made ready again",
		"DrainingDurableExecutions":             "durable executions of the function are still to end",
	}
}

// Reason says in words what a code of Lambda means. A code that is not known
// comes back as it is.
func Reason(code string) string {
	if text, known := reasons()[code]; known {
		return text
	}
	// New ones of a group mean at least what the group does.
	if group, _, in := strings.Cut(code, "."); in {
		if text, known := reasons()[group]; known {
			return text
		}
	}
	return code
}
