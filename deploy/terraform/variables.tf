variable "bucket" {
  description = "Name of the bucket whose changes are followed. It has to be in the provider's region."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "This is no name of an S3 bucket."
  }
}

variable "distributions" {
  description = "IDs of the CloudFront distributions, or tenants (dt_…), in front of the bucket. Without any, the function finds those that have the bucket as an origin, and may invalidate every distribution of the account."
  type        = list(string)

  validation {
    condition     = alltrue([for id in var.distributions : can(regex("^([A-Z0-9]{2,64}|dt_[A-Za-z0-9]{1,61})$", id))])
    error_message = "An ID is such as E2EXAMPLE1234, or dt_… for a tenant."
  }
}

variable "notification" {
  description = "own: the module owns all notification rules of the bucket, of which S3 has one set, and puts other_rules beside its own. elsewhere: the output rule goes into the aws_s3_bucket_notification that you have."
  type        = string

  validation {
    condition     = contains(["own", "elsewhere"], var.notification)
    error_message = "This is own or elsewhere."
  }
}

variable "zip" {
  description = "Path of the function's zip: bin/freshet-lambda-arm64.zip, made by make lambda, or a release's."
  type        = string

  validation {
    condition     = endswith(var.zip, ".zip")
    error_message = "The function comes as a zip."
  }
}

variable "name" {
  description = "Of the function, its role, its queue and its log group."
  type        = string
  default     = "freshet"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "A name is 1 to 64 letters, digits, hyphens or underscores."
  }
}

variable "prefix" {
  description = "Only keys that begin with it are followed. As S3 wants it in a rule: + for a space, other special characters percent-encoded."
  type        = string
  default     = ""

  validation {
    condition     = length(var.prefix) <= 1024
    error_message = "S3 takes at most 1,024 characters."
  }
}

variable "suffix" {
  description = "Only keys that end with it are followed. Spelled as the prefix is."
  type        = string
  default     = ""

  validation {
    condition     = length(var.suffix) <= 1024
    error_message = "S3 takes at most 1,024 characters."
  }
}

variable "other_rules" {
  description = "With notification = own: the bucket's other rules. Which of queue_arn, topic_arn and lambda_function_arn is set says where one sends. S3 refuses rules that overlap."
  type = list(object({
    id                  = string
    events              = list(string)
    queue_arn           = optional(string)
    topic_arn           = optional(string)
    lambda_function_arn = optional(string)
    filter_prefix       = optional(string)
    filter_suffix       = optional(string)
  }))
  default = []

  validation {
    condition     = alltrue([for r in var.other_rules : length(compact([r.queue_arn, r.topic_arn, r.lambda_function_arn])) == 1])
    error_message = "A rule sends to one of queue_arn, topic_arn and lambda_function_arn."
  }
}

variable "eventbridge" {
  description = "With notification = own: the bucket sends to EventBridge as well."
  type        = bool
  default     = false
}

variable "table" {
  description = "Name of a DynamoDB table, which is made, in which functions that run at the same time share CloudFront's quota."
  type        = string
  default     = ""

  validation {
    condition     = var.table == "" || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table))
    error_message = "This is no name of a DynamoDB table."
  }
}

variable "concurrency" {
  description = "Functions at a time: 1 without a table, 5 with one, unless said otherwise."
  type        = number
  default     = null

  validation {
    condition     = var.concurrency == null ? true : var.concurrency >= 1 && floor(var.concurrency) == var.concurrency
    error_message = "At least one function is needed."
  }
}

variable "configuration" {
  description = "Where the function's configuration is: ssm:NAME, s3://BUCKET/KEY, or a file in its zip."
  type        = string
  default     = ""

  validation {
    condition = var.configuration == "" || (
      startswith(var.configuration, "ssm:") ? can(regex("^ssm:[A-Za-z0-9_./-]+$", var.configuration)) :
      startswith(var.configuration, "s3://") ? can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9!_.()/=-]+$", var.configuration)) : true
    )
    error_message = "This is ssm:NAME, s3://BUCKET/KEY with a plain key, or a file in the zip."
  }
}

variable "codepipeline" {
  description = "The function is an action of CodePipeline."
  type        = bool
  default     = false
}

variable "repositories" {
  description = "CodeCommit repositories whose differences the function reads."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for r in var.repositories : can(regex("^[A-Za-z0-9_.-]{1,100}$", r))])
    error_message = "This is no name of a CodeCommit repository."
  }
}

variable "environment" {
  description = "More environment variables of the function, such as FRESHET_WAIT."
  type        = map(string)
  default     = {}
}

variable "log_retention" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "fresh_within" {
  description = "Seconds within which 99 of 100 changes are to be accepted by CloudFront."
  type        = number
  default     = 60

  validation {
    condition     = var.fresh_within >= 1
    error_message = "At least one second."
  }
}

variable "alarm_topics" {
  description = "ARNs of SNS topics that are told of alarms."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of all that is made."
  type        = map(string)
  default     = {}
}
